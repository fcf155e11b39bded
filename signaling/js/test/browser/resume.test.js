import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostClass, joinClass, openPage, openWire, seesAndHears, startBrowser, startServer, writeSteps } from './harness.js';

test('a socket that is cut resumes with no event lost or doubled', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const wire = await openWire(t, server.port);
  const [host, ben] = await Promise.all([openPage(t, browser), openPage(t, browser)]);
  const link = await hostClass(host, server.url);
  await joinClass(ben, link.replace(server.url, wire.url), 'Ben');
  await writeSteps(host, ['Chop', 'Fry']);
  await ben.waitForFunction(() => globalThis.room.state.steps.length === 2);
  await ben.evaluate(() => {
    globalThis.seen = [globalThis.room.state.seq];
    globalThis.room.addEventListener('change', ({ detail }) => detail && globalThis.seen.push(detail.seq));
  });

  wire.cut();
  await ben.waitForFunction(() => globalThis.room.connection !== 'open');
  await host.evaluate(async () => {
    await globalThis.room.chat('while you were away');
    await globalThis.room.startStep(1);
  });
  const acted = ben.evaluate(() => globalThis.room.tick(1, true).then(({ seq }) => seq));
  wire.join();
  const seq = await acted;
  await host.locator('tr:has-text("Ben") td.done').waitFor();
  await ben.waitForFunction((at) => globalThis.room.connection === 'open' && globalThis.room.state.seq >= at, seq);

  const seen = await ben.evaluate(() => globalThis.seen);
  assert.deepEqual(seen, Array.from(seen, (_, index) => seen[0] + index), 'each event once, in order');
  assert.deepEqual(await ben.evaluate(() => globalThis.room.state.chat.map((line) => line.text)), ['while you were away']);
  assert.equal(await host.evaluate(() => globalThis.room.state.present.length), 2);
});

test('media does not notice that a socket was cut', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const wire = await openWire(t, server.port);
  const [host, ben] = await Promise.all([openPage(t, browser), openPage(t, browser)]);
  const link = await hostClass(host, server.url);
  await joinClass(ben, link.replace(server.url, wire.url), 'Ben');
  await seesAndHears(ben, 1);
  await seesAndHears(host, 1);
  await ben.evaluate(() => (globalThis.former = globalThis.room.media.connection));
  wire.cut();
  await ben.waitForFunction(() => globalThis.room.connection !== 'open');
  await seesAndHears(ben, 1);
  await seesAndHears(host, 1);
  wire.join();
  await ben.waitForFunction(() => globalThis.room.connection === 'open');
  await seesAndHears(ben, 1);
  assert.equal(await ben.evaluate(() => globalThis.former === globalThis.room.media.connection), true, 'the same connection');
  assert.equal(await host.evaluate(() => globalThis.room.state.publications.size), 4);
});

test('while the socket is gone, the data channel carries actions and events', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const wire = await openWire(t, server.port);
  const [host, ben] = await Promise.all([openPage(t, browser), openPage(t, browser)]);
  const link = await hostClass(host, server.url);
  await joinClass(ben, link.replace(server.url, wire.url), 'Ben');
  await ben.waitForFunction(() => globalThis.room.media.channelOpen);
  wire.cut();
  await ben.waitForFunction(() => globalThis.room.connection !== 'open');
  await ben.evaluate(() => globalThis.room.chat('over the channel'));
  await host.locator('.line .said', { hasText: 'over the channel' }).waitFor();
  await host.evaluate(() => globalThis.room.chat('and back'));
  await ben.locator('.line .said', { hasText: 'and back' }).waitFor();
  assert.notEqual(await ben.evaluate(() => globalThis.room.connection), 'open');
  wire.join();
  await ben.waitForFunction(() => globalThis.room.connection === 'open');
  await host.evaluate(() => globalThis.room.chat('whole again'));
  await ben.locator('.line .said', { hasText: 'whole again' }).waitFor();
  assert.deepEqual(await ben.evaluate(() => globalThis.room.state.chat.map((line) => line.text)), [
    'over the channel', 'and back', 'whole again',
  ]);
});
