import assert from 'node:assert/strict';
import { test } from 'node:test';
import { passThroughPort } from '../report/page.js';
import { flows, hostClass, joinClass, openClass, openPage, openWire, seesAndHears, startBrowser, startServer, until } from './harness.js';
import { ADDRESS_V6, runInOwnNetwork } from './network.js';
import { noteConnection, notePictures } from './pictures.js';
import { openRelay } from './relay.js';

test('a class over IPv6', async () => {
  const { code, output } = await runInOwnNetwork(new URL('./inside/ipv6.js', import.meta.url), [ADDRESS_V6]);
  assert.equal(code, 0, output);
});

test('a client whose address changes stays in the class, and notices by itself', async (t) => {
  const { code, output } = await runInOwnNetwork(new URL('./inside/moves.js', import.meta.url), ['127.0.0.1']);
  assert.equal(code, 0, output);
  t.diagnostic(/without pictures.*/.exec(output)?.[0] ?? '');
});

/**
 * A class of two, whose guest reaches the server through a wire and a relay.
 * @param {import('node:test').TestContext} t
 */
async function openFarClass(t) {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const [wire, relay] = [await openWire(t, server.port), await openRelay(t, server.port)];
  const [host, ben] = [await openPage(t, browser), await openPage(t, browser)];
  await ben.addInitScript(passThroughPort, relay.port);
  const link = await hostClass(host, server.url);
  await joinClass(ben, link.replace(server.url, wire.url), 'Ben');
  for (const page of [host, ben]) await seesAndHears(page, 1);
  await flows(ben);
  return { wire, relay, host, ben };
}

/**
 * What `happens` to a client's way to the server, who finds another by itself: its figures, and what it did.
 * @param {import('node:test').TestContext} t
 * @param {(way: Awaited<ReturnType<typeof openFarClass>>) => void} happens
 * @param {boolean} [restarts] whether nothing else than an ICE restart can help
 */
async function changes(t, happens, restarts = true) {
  const way = await openFarClass(t);
  const pages = [way.host, way.ben];
  const done = await noteConnection(way.ben);
  const gaps = await Promise.all(pages.map(notePictures));
  happens(way);
  if (restarts) await until(async () => ((await done()).restarted ? true : undefined), 'ICE restarts');
  for (const page of pages) await seesAndHears(page, 1);
  t.diagnostic(`without pictures for ${(await Promise.all(gaps.map((gap) => gap()))).join(' and ')} ms`);
  const { same, connection, media } = await done();
  assert.deepEqual({ same, media }, { same: true, media: [] }, 'media goes on, before the browser gave it up');
  return { ...way, connection };
}

test('a client that comes from another port', async (t) => {
  const { connection } = await changes(t, ({ relay }) => relay.rebind(), false);
  assert.deepEqual(connection, []);
});

test('a client whose way is gone notices by itself', async (t) => {
  const { connection } = await changes(t, ({ relay }) => relay.lose());
  assert.deepEqual(connection, [], 'the WebSocket was heard');
});

test('when the whole network is another, the WebSocket is, too', async (t) => {
  const { host, ben, connection } = await changes(t, ({ relay, wire }) => (relay.lose(), wire.silence()));
  assert.deepEqual(connection, ['connecting', 'open']);
  await host.evaluate(() => globalThis.room.chat('still here'));
  await ben.waitForFunction(() => globalThis.room.state.chat.some(({ text }) => text === 'still here'));
});

test('a class that falls silent is left alone', async (t) => {
  const { host, ben } = await openFarClass(t);
  const done = await noteConnection(ben);
  await ben.evaluate(() => {
    globalThis.room.media.addEventListener('message', ({ detail }) => (globalThis.answered ||= detail.type === 'pong'));
  });
  await Promise.all([host, ben].map((page) => page.evaluate(async () => {
    for (const source of ['camera', 'microphone']) await globalThis.room.media.setSending(source, false);
  })));
  await ben.waitForFunction(() => globalThis.answered);
  await Promise.all([host, ben].map((page) => page.evaluate(async () => {
    for (const source of ['camera', 'microphone']) await globalThis.room.media.setSending(source, true);
  })));
  for (const page of [host, ben]) await seesAndHears(page, 1);
  const { same, restarted, connection } = await done();
  assert.deepEqual({ same, restarted, connection }, { same: true, restarted: false, connection: [] });
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
