/**
 * A room and pages in it that have no demo around them: what is published, looked at and seen is the test's to say.
 */
import { openPage, until } from './harness.js';

/**
 * @param {string} url of the server
 * @returns {Promise<{room: string, host_key: string}>}
 */
export async function makeRoom(url) {
  return (await fetch(`${url}/demo/class`, { method: 'POST' })).json();
}

/**
 * A page in the room with no demo around it.
 * @param {import('node:test').TestContext} t
 * @param {import('playwright-core').Browser} browser
 * @param {string} url
 * @param {{room: string, host_key: string}} room
 * @param {string} name
 * @param {object} [how]
 * @param {string[]} [how.lacks] what this browser is to have no decoder for
 * @param {boolean} [how.redundantAudio]
 * @param {(page: import('playwright-core').Page) => Promise<unknown>} [how.prepare] what comes before the page is loaded
 */
export async function enter(t, browser, url, { room, host_key: key }, name, { lacks = [], redundantAudio, prepare } = {}) {
  const page = await openPage(t, browser);
  await prepare?.(page);
  await page.goto(url);
  await page.evaluate(async ({ ticket, lacks, redundantAudio }) => {
    const { getCapabilities } = RTCRtpReceiver;
    RTCRtpReceiver.getCapabilities = (kind) => {
      const all = getCapabilities.call(RTCRtpReceiver, kind);
      return { ...all, codecs: all.codecs.filter(({ mimeType }) => !lacks.includes(mimeType)) };
    };
    const { join } = await import('/client/client.js');
    const answer = await fetch('/demo/class/token', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(ticket),
    });
    globalThis.room = await join({ token: (await answer.json()).token, redundantAudio });
    globalThis.problems = [];
    globalThis.room.addEventListener('problem', ({ detail }) => {
      globalThis.problems.push(detail.code);
      if (lacks.length === 0) reportError(new Error(`${detail.message} ${detail.cause}`));
    });
    globalThis.picture = document.createElement('video');
    Object.assign(globalThis.picture, { autoplay: true, muted: true });
    document.body.replaceChildren(globalThis.picture);
  }, { ticket: { room, key, name, identity: name }, lacks, redundantAudio });
  return page;
}

/**
 * Publishes the camera in place of what it was before; the publication's id.
 * @param {import('playwright-core').Page} page
 * @param {number} height of what is captured
 * @param {import('../../src/codecs.js').PublishOptions} options
 * @param {number} [frameRate] pictures a second
 */
export async function publish(page, height, options, frameRate = FRAME_RATE) {
  const former = await page.evaluate(async ({ options, video }) => {
    const { room } = globalThis;
    globalThis.camera?.stop();
    globalThis.camera = (await navigator.mediaDevices.getUserMedia({ video })).getVideoTracks()[0];
    const former = room.state.publicationOf(room.me.id, 'camera')?.id;
    await room.media.publish('camera', globalThis.camera, options);
    return former;
  }, { options, video: { width: widthOf(height), height, frameRate } });
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
export async function shows(page, publication) {
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
export async function resize(page, height) {
  await page.evaluate(({ width, height }) => {
    Object.assign(globalThis.picture.style, { width: `${width}px`, height: `${height}px` });
  }, { width: widthOf(height), height });
}

/**
 * Waits until pictures of this codec and height are decoded one after the other; what `getStats` says of them.
 * @param {import('playwright-core').Page} page
 * @param {string} publication
 * @param {string} codec
 * @param {number} height
 */
export async function sees(page, publication, codec, height) {
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
