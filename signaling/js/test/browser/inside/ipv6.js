import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostClass, joinClass, openPage, seesAndHears, startBrowser, startServer } from '../harness.js';

test('two see and hear each other over IPv6 alone', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const pages = await Promise.all([openPage(t, browser), openPage(t, browser)]);
  const [host, ben] = pages;
  const link = await hostClass(host, server.url);
  await joinClass(ben, link, 'Ben');
  for (const page of pages) {
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
