import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPage, startBrowser, startServer, until } from './harness.js';

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
  const viewer = await enter(t, browser, server.url, room, 'Ben', ['video/VP9', 'video/AV1']);
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

/** @param {string} url */
async function makeRoom(url) {
  return (await fetch(`${url}/demo/class`, { method: 'POST' })).json();
}

/**
 * A page in the room with no demo around it.
 * @param {import('node:test').TestContext} t
 * @param {import('playwright-core').Browser} browser
 * @param {string} url
 * @param {{room: string, host_key: string}} room
 * @param {string} name
 * @param {string[]} [lacks] what this browser is to have no decoder for
 */
async function enter(t, browser, url, { room, host_key: key }, name, lacks = []) {
  const page = await openPage(t, browser);
  await page.goto(url);
  await page.evaluate(async ({ ticket, lacks }) => {
    const { getCapabilities } = RTCRtpReceiver;
    RTCRtpReceiver.getCapabilities = (kind) => {
      const all = getCapabilities.call(RTCRtpReceiver, kind);
      return { ...all, codecs: all.codecs.filter(({ mimeType }) => !lacks.includes(mimeType)) };
    };
    const { join } = await import('/client/client.js');
    const answer = await fetch('/demo/class/token', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(ticket),
    });
    globalThis.room = await join({ token: (await answer.json()).token });
    globalThis.problems = [];
    globalThis.room.addEventListener('problem', ({ detail }) => {
      globalThis.problems.push(detail.code);
      if (lacks.length === 0) reportError(new Error(`${detail.message} ${detail.cause}`));
    });
    globalThis.picture = document.createElement('video');
    Object.assign(globalThis.picture, { autoplay: true, muted: true });
    document.body.replaceChildren(globalThis.picture);
  }, { ticket: { room, key, name, identity: name }, lacks });
  return page;
}

/**
 * Publishes the camera in place of what it was before; the publication's id.
 * @param {import('playwright-core').Page} page
 * @param {number} height of what is captured
 * @param {import('../../src/codecs.js').PublishOptions} options
 */
async function publish(page, height, options) {
  const former = await page.evaluate(async ({ options, video }) => {
    const { room } = globalThis;
    globalThis.camera?.stop();
    globalThis.camera = (await navigator.mediaDevices.getUserMedia({ video })).getVideoTracks()[0];
    const former = room.state.publicationOf(room.me.id, 'camera')?.id;
    await room.media.publish('camera', globalThis.camera, options);
    return former;
  }, { options, video: { width: widthOf(height), height, frameRate: FRAME_RATE } });
  return until(() => page.evaluate((former) => {
    const { room } = globalThis;
    const id = room.state.publicationOf(room.me.id, 'camera')?.id;
    return id === former ? undefined : id;
  }, former), 'the camera is published');
}

/**
 * @param {import('playwright-core').Page} page
 * @param {string} publication
 */
async function shows(page, publication) {
  await page.waitForFunction((id) => globalThis.room.state.publications.has(id), publication);
  await page.evaluate((id) => {
    void globalThis.room.media;
    globalThis.room.show(id, globalThis.picture);
  }, publication);
}

/**
 * @param {import('playwright-core').Page} page
 * @param {number} height
 */
async function resize(page, height) {
  await page.evaluate(({ width, height }) => {
    Object.assign(globalThis.picture.style, { width: `${width}px`, height: `${height}px` });
  }, { width: widthOf(height), height });
}

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

/**
 * Waits until pictures of this codec and height are decoded one after the other; what `getStats` says of them.
 * @param {import('playwright-core').Page} page
 * @param {string} publication
 * @param {string} codec
 * @param {number} height
 */
async function sees(page, publication, codec, height) {
  /** @type {Record<string, any> | undefined} */
  let last;
  let since;
  const probe = async () => {
    last = await page.evaluate(async (id) => {
      const slot = (await globalThis.room.stats()).slots.find((one) => one.publication === id);
      if (!slot) return undefined;
      const { mimeType } = (await globalThis.room.media.connection.getStats()).get(slot.codecId) ?? {};
      const { frameHeight, framesDecoded, framesPerSecond = 0, freezeCount = 0 } = slot;
      return { mimeType, frameHeight, framesDecoded, framesPerSecond, freezeCount };
    }, publication);
    const right = last?.mimeType?.toLowerCase() === `video/${codec}` && last.frameHeight === height;
    since = right ? since ?? last?.framesDecoded : undefined;
    return right && last?.framesDecoded >= since + FRAMES ? last : undefined;
  };
  try {
    return await until(probe, `${codec} is seen at ${height}`);
  } catch (error) {
    throw new Error(`${/** @type {Error} */ (error).message} At last: ${JSON.stringify(last)}`, { cause: error });
  }
}

/** @param {number} height */
function widthOf(height) {
  return (height * 16) / 9;
}

const FRAME_RATE = 15;
/** So many in a row are more than one that came by chance. */
const FRAMES = 8;
