import assert from 'node:assert/strict';
import { test } from 'node:test';
import { enter, makeRoom, publish, resize, sees, shows } from './bare.js';
import { startBrowser, startServer, until } from './harness.js';

/**
 * Each way to publish that this Chromium has: the height that is captured, little, so that software encoders keep up, and the least that a viewer
 * can have of it. Chromium encodes no spatial layer of fewer than 135 lines.
 * @type {{codec: import('../../src/codecs.js').VideoCodec, layers: string, whole: number, small: number}[]}
 */
const WAYS = [
  { codec: 'vp8', layers: 'simulcast', whole: 360, small: 180 },
  { codec: 'vp9', layers: 'simulcast', whole: 360, small: 180 },
  { codec: 'h264', layers: 'simulcast', whole: 360, small: 180 },
  { codec: 'av1', layers: 'simulcast', whole: 360, small: 180 },
  { codec: 'vp9', layers: 'L3T3_KEY', whole: 576, small: 144 },
  { codec: 'vp9', layers: 'L2T2', whole: 360, small: 180 },
  { codec: 'av1', layers: 'L3T3_KEY', whole: 576, small: 144 },
  { codec: 'av1', layers: 'L1T2', whole: 360, small: 360 },
];

test('every codec is seen as small or as large as it is asked for', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const room = await makeRoom(server.url);
  const [cook, ...viewers] = await Promise.all(['Ana', 'Ben', 'Chiyo'].map((name) => enter(t, browser, server.url, room, name)));

  for (const { codec, layers, whole, small } of WAYS) {
    await t.test(`${codec} ${layers}`, async (t) => {
      const publication = await publish(cook, whole, { codec, layers });
      await Promise.all(viewers.map((viewer) => shows(viewer, publication)));
      await sends(cook, codec, layers);
      let heights = [small, whole];
      for (const _ of ['at first', 'and with sizes swapped']) {
        await Promise.all(viewers.map((viewer, index) => resize(viewer, heights[index])));
        const seen = await Promise.all(viewers.map((viewer, index) => sees(viewer, publication, codec, heights[index])));
        t.diagnostic(seen.map((one) => `${one.frameHeight}p ${one.framesPerSecond} fps, ${one.freezeCount} freezes`).join('; '));
        heights = heights.reverse();
      }
    });
  }
});

test('what a browser cannot decode is said', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const room = await makeRoom(server.url);
  const cook = await enter(t, browser, server.url, room, 'Ana');
  const viewer = await enter(t, browser, server.url, room, 'Ben', { lacks: ['video/VP9', 'video/AV1'] });
  const publication = await publish(cook, 360, { codec: 'vp9', layers: 'L1T2' });
  const failure = () => viewer.evaluate((id) => globalThis.room.media.failureOf(id), publication);
  await shows(viewer, publication);
  await until(async () => ((await failure()) === 'unsupported_codec' ? true : undefined), 'the viewer knows why it sees nothing');
  assert.deepEqual(await viewer.evaluate(() => globalThis.problems), ['unsupported_codec']);
  // What it can decode is shown in the same place, and the failure is over.
  const other = await publish(cook, 360, { codec: 'vp8', layers: 'simulcast' });
  await shows(viewer, other);
  await resize(viewer, 360);
  await sees(viewer, other, 'vp8', 360);
  assert.equal(await failure(), null);
  assert.equal(await viewer.evaluate(() => globalThis.problems.length), 1, 'said once');
});

test('what a browser cannot send is refused, and what it sends goes on', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const room = await makeRoom(server.url);
  const [cook, viewer] = await Promise.all(['Ana', 'Ben'].map((name) => enter(t, browser, server.url, room, name)));
  const publication = await publish(cook, 360, { codec: 'vp8', layers: 'simulcast' });
  const refusals = await cook.evaluate(async () => {
    const wishes = [{ codec: 'h265' }, { codec: 'vp8', layers: 'L3T3' }, { codec: 'av1', layers: 'many' }];
    return Promise.all(wishes.map((wish) => globalThis.room.media.publish('camera', globalThis.camera, wish).catch(({ code }) => code)));
  });
  assert.deepEqual(refusals, ['unsupported_codec', 'unsupported_layers', 'unsupported_layers']);
  await shows(viewer, publication);
  await resize(viewer, 360);
  await sees(viewer, publication, 'vp8', 360);

  // What it can send begins on the connection there is.
  await cook.evaluate(() => (globalThis.former = globalThis.room.media.connection));
  const other = await publish(cook, 360, { codec: 'h264' });
  await shows(viewer, other);
  await sees(viewer, other, 'h264', 360);
  assert.equal(await cook.evaluate(() => globalThis.former === globalThis.room.media.connection), true, 'the same connection');
});

/**
 * Waits until what is sent is what was asked for: two streams of simulcast, or one with these layers.
 * @param {import('playwright-core').Page} page
 * @param {string} codec
 * @param {string} layers
 */
async function sends(page, codec, layers) {
  await until(async () => {
    const sent = await page.evaluate(async () => {
      const report = await globalThis.room.media.connection.getStats();
      const streams = [...report.values()].filter((entry) => entry.type === 'outbound-rtp' && entry.framesEncoded > 0);
      return streams.map(({ codecId, scalabilityMode }) => ({ codec: report.get(codecId)?.mimeType.toLowerCase(), scalabilityMode }));
    });
    if (!sent.every((stream) => stream.codec === `video/${codec}`)) return undefined;
    const right = layers === 'simulcast' ? sent.length === 2 : sent.length === 1 && sent[0].scalabilityMode === layers;
    return right || undefined;
  }, `${codec} is sent in ${layers}`);
}
