import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openClass, seesAndHears } from '../harness.js';

test('two see and hear each other over IPv6 alone', async (t) => {
  const { host, guests } = await openClass(t, ['Ben']);
  for (const page of [host, ...guests]) {
    await seesAndHears(page, 1);
    const remote = await page.evaluate(async () => {
      const report = [...(await globalThis.room.media.connection.getStats()).values()];
      const { selectedCandidatePairId } = report.find((entry) => entry.type === 'transport');
      const pair = report.find((entry) => entry.id === selectedCandidatePairId);
      return report.find((entry) => entry.id === pair.remoteCandidateId).address;
    });
    assert.equal(remote, process.env.MEDIA_ADDRESSES);
  }
});
