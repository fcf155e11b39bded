import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openClass, seesAndHears, until } from './harness.js';
import { ADDRESS_V6, runInOwnNetwork } from './network.js';

test('a class over IPv6', async () => {
  const { code, output } = await runInOwnNetwork(new URL('./inside/ipv6.js', import.meta.url), [ADDRESS_V6]);
  assert.equal(code, 0, output);
});

test('a client whose address changes stays in the class', async () => {
  const { code, output } = await runInOwnNetwork(new URL('./inside/moves.js', import.meta.url), ['127.0.0.1']);
  assert.equal(code, 0, output);
});

test('ICE restarts under living media', async (t) => {
  const { host, guests: [ben] } = await openClass(t, ['Ben']);
  for (const page of [host, ben]) await seesAndHears(page, 1);
  await host.evaluate(() => {
    globalThis.kinds = [];
    for (const kind of ['published', 'unpublished', 'left', 'joined']) {
      globalThis.room.addEventListener(kind, () => globalThis.kinds.push(kind));
    }
  });
  const credentials = () => ben.evaluate(() => {
    const { localDescription, remoteDescription } = globalThis.room.media.connection;
    return [localDescription, remoteDescription].map(({ sdp }) => /a=ice-ufrag:(.+)/.exec(sdp)[1].trim());
  });
  const [former, before] = [await ben.evaluateHandle(() => globalThis.room.media.connection), await credentials()];
  for (let round = 0; round < 2; round += 1) {
    const [ours, theirs] = await credentials();
    await ben.evaluate(() => globalThis.room.media.restartIce());
    await until(async () => {
      const [newOurs, newTheirs] = await credentials();
      return newOurs !== ours && newTheirs !== theirs ? true : undefined;
    }, 'both sides have new credentials');
    for (const page of [host, ben]) await seesAndHears(page, 1);
  }
  assert.notDeepEqual(await credentials(), before);
  // The pair in use was found with the new credentials.
  await until(async () => {
    const pairs = await ben.evaluate(async () => {
      const report = [...(await globalThis.room.media.connection.getStats()).values()];
      const { selectedCandidatePairId } = report.find((entry) => entry.type === 'transport');
      const pair = report.find((entry) => entry.id === selectedCandidatePairId);
      return report.find((entry) => entry.id === pair.localCandidateId).usernameFragment;
    });
    return pairs === (await credentials())[0] ? true : undefined;
  }, 'the new pair is used');
  assert.equal(await former.evaluate((connection) => connection === globalThis.room.media.connection), true, 'the same connection');
  assert.deepEqual(await host.evaluate(() => globalThis.kinds), [], 'nothing is published anew');
});
