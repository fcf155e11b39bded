import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enter, makeRoom, publish, resize, sees, shows } from './bare.js';
import { startBrowser, startServer, until } from './harness.js';

/** What is captured, in lines: published as a whole, a half and a quarter of it. */
const HEIGHT = Number(process.env.SENDS_HEIGHT ?? 720);
const WATCHERS = 3;

test('a picture of a real encoder leaves in fewer sends than it has packets', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const room = await makeRoom(server.url);
  const [ana, ...viewers] = await Promise.all(Array.from({ length: 1 + WATCHERS }, (_, index) => enter(t, browser, server.url, room, `${index}`)));
  const publication = await publish(ana, HEIGHT, {}, 30);
  for (const viewer of viewers) {
    await shows(viewer, publication);
    await resize(viewer, HEIGHT);
  }
  await Promise.all(viewers.map((viewer) => sees(viewer, publication, 'vp8', HEIGHT)));

  const before = await count(server, viewers, publication);
  const during = await until(async () => {
    const now = await count(server, viewers, publication);
    return now.pictures > before.pictures + PICTURES ? now : undefined;
  }, 'enough pictures came');
  const [packets, pictures, datagrams, sends] = ['packets', 'pictures', 'datagrams', 'sends'].map((of) => during[of] - before[of]);
  t.diagnostic(`${HEIGHT} lines: ${(packets / pictures).toFixed(1)} packets a picture, ${(sends / pictures).toFixed(2)} sends a picture with all else, ` +
    `${(datagrams / sends).toFixed(1)} datagrams a send`);
  assert.ok(sends < packets, `${sends} sends of ${packets} packets`);
});

/**
 * What has been sent by now, and what the viewers had of it.
 * @param {Awaited<ReturnType<typeof startServer>>} server
 * @param {import('playwright-core').Page[]} viewers
 * @param {string} publication
 */
async function count(server, viewers, publication) {
  const sent = ['datagrams_sent', 'sends', 'packets_forwarded'].map((name) => server.counted(`simmer_media_${name}_total`));
  const [datagrams, sends, packets] = await Promise.all(sent);
  const seen = await Promise.all(viewers.map((viewer) => viewer.evaluate(async (id) =>
    (await globalThis.room.stats()).slots.find((one) => one.publication === id)?.framesReceived ?? 0, publication)));
  return { datagrams, sends, packets, pictures: seen.reduce((sum, frames) => sum + frames, 0) };
}

/** Of all viewers together: some seconds of them. */
const PICTURES = 300;
