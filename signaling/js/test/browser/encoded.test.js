import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { enter, makeRoom, publish, resize, sees, shows } from './bare.js';
import { startBrowser, startServer, until } from './harness.js';

test('sound goes redundantly unless its sender or its listener wishes otherwise', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const room = await makeRoom(server.url);
  const [ana, ben, plain] = await Promise.all([{}, {}, { redundantAudio: false }].map((how, index) =>
    enter(t, browser, server.url, room, ['Ana', 'Ben', 'Chiyo'][index], { ...how, prepare: (page) => watch(page) })));
  await ana.evaluate(async () => {
    const [track] = (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks();
    await globalThis.room.media.publish('microphone', track);
  });
  for (const listener of [ben, plain]) await listener.evaluate(() => void globalThis.room.media);
  // `getStats` says Opus of both: that is what is in it.
  assert.deepEqual(await passed(ana, 'sends'), ['audio/red']);
  // The first one has nothing to repeat.
  assert.ok((await passed(ben, 'receives')).includes('audio/red'));
  assert.deepEqual(await passed(plain, 'receives'), ['audio/opus']);

  await plain.evaluate(async () => {
    const [track] = (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks();
    await globalThis.room.media.publish('microphone', track);
  });
  assert.deepEqual(await passed(plain, 'sends'), ['audio/opus']);
});

const KEY = 0xa5;
for (const { codec, layers, whole, small } of [
  { codec: 'vp8', layers: 'simulcast', whole: 360, small: 180 },
  { codec: 'av1', layers: 'simulcast', whole: 360, small: 180 },
  { codec: 'av1', layers: 'L3T3_KEY', whole: 576, small: 144 },
]) {
  test(`${codec} in ${layers} that only its viewers can read comes in every size`, async (t) => {
    const server = await startServer(t);
    const browser = await startBrowser(t);
    const room = await makeRoom(server.url);
    const [ana, ben, chiyo, stranger] = await Promise.all([KEY, KEY, KEY, undefined].map((key, index) =>
      enter(t, browser, server.url, room, ['Ana', 'Ben', 'Chiyo', 'Dora'][index], { prepare: (page) => watch(page, key) })));
    const publication = await publish(ana, whole, { codec, layers });
    const viewers = [ben, chiyo];
    await Promise.all([...viewers, stranger].map((page) => shows(page, publication)));
    await resize(stranger, whole);
    let heights = [small, whole];
    for (const _ of ['at first', 'and with sizes swapped']) {
      await Promise.all(viewers.map((viewer, index) => resize(viewer, heights[index])));
      await Promise.all(viewers.map((viewer, index) => sees(viewer, publication, codec, heights[index])));
      heights = heights.reverse();
    }
    const { framesReceived = 0, framesDecoded = 0 } = await received(stranger, publication);
    assert.ok(framesReceived > 0, 'the pictures came');
    assert.equal(framesDecoded, 0, 'who has no key sees nothing');
    const { keyFramesEncoded, framesEncoded } = await ana.evaluate(async () => {
      const { sending } = await globalThis.room.stats();
      const sum = (field) => sending.reduce((sum, one) => sum + (one[field] ?? 0), 0);
      return { keyFramesEncoded: sum('keyFramesEncoded'), framesEncoded: sum('framesEncoded') };
    });
    t.diagnostic(`with one who has no key: ${keyFramesEncoded} key frames of ${framesEncoded}; ${framesReceived} pictures came to it`);
  });
}

/**
 * All that this page sends and receives goes through `seal.js`, one worker for each way.
 * @param {import('playwright-core').Page} page
 * @param {number} [key]
 */
async function watch(page, key) {
  const script = fileURLToPath(new URL('./seal.js', import.meta.url));
  await page.route('**/seal.js', (route) => route.fulfill({ path: script, contentType: 'text/javascript' }));
  await page.addInitScript((key) => {
    const { addTransceiver } = RTCPeerConnection.prototype;
    const workers = {};
    const through = (way) => new RTCRtpScriptTransform((workers[way] ??= new Worker('/seal.js')), { key });
    RTCPeerConnection.prototype.addTransceiver = function (what, init) {
      const transceiver = addTransceiver.call(this, what, init);
      if (init.direction === 'sendonly') transceiver.sender.transform = through('sends');
      else transceiver.receiver.transform = through('receives');
      return transceiver;
    };
    globalThis.passed = (way) => new Promise((resolve) => {
      workers[way].onmessage = ({ data }) => resolve(data);
      workers[way].postMessage(null);
    });
  }, key);
}

/**
 * Waits until enough has come by to tell; of which types it was.
 * @param {import('playwright-core').Page} page
 * @param {'sends' | 'receives'} way
 * @returns {Promise<string[]>}
 */
function passed(page, way) {
  return until(async () => {
    const types = await page.evaluate((way) => globalThis.passed(way), way);
    return Object.values(types).reduce((sum, count) => sum + count, 0) > 20 ? Object.keys(types) : undefined;
  }, `enough passed that this page ${way}`);
}

/**
 * What `getStats` says of the slot with this publication.
 * @param {import('playwright-core').Page} page
 * @param {string} publication
 */
function received(page, publication) {
  return page.evaluate(async (id) => (await globalThis.room.stats()).slots.find((one) => one.publication === id) ?? {}, publication);
}
