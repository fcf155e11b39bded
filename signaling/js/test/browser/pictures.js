/**
 * When pictures were shown.
 */
import { longestGap } from '../report/measures.js';

/**
 * Notes from now on when a page shows a picture of somebody else's camera.
 * @param {import('playwright-core').Page} page
 * @returns {Promise<() => Promise<number>>} how long it showed none at the longest, in milliseconds, since this was called
 */
export async function notePictures(page) {
  const from = await page.evaluate(() => {
    const { room } = globalThis;
    const other = [...room.state.publications.values()].find(({ kind, participant }) => kind === 'video' && participant !== room.me.id);
    const element = [...document.querySelectorAll('video')].find((video) => video.srcObject && video.srcObject === room.media.streamOf(other.id));
    globalThis.pictures = [];
    const note = () => {
      globalThis.pictures.push({ at: performance.now(), height: 0 });
      element.requestVideoFrameCallback(note);
    };
    element.requestVideoFrameCallback(note);
    return performance.now();
  });
  return async () => {
    const { frames, to } = await page.evaluate(() => ({ frames: globalThis.pictures, to: performance.now() }));
    return Math.round(longestGap(frames, { from, to }));
  };
}

/**
 * What a client did about its connection since this was called.
 * @param {import('playwright-core').Page} page
 */
export async function noteConnection(page) {
  const former = await page.evaluateHandle(() => {
    const { room } = globalThis;
    globalThis.states = { media: [], connection: [] };
    for (const type of ['media', 'connection']) room.addEventListener(type, ({ detail }) => globalThis.states[type].push(detail));
    return { connection: room.media.connection, ufrag: /a=ice-ufrag:(.+)/.exec(room.media.connection.localDescription.sdp)[1] };
  });
  return () => former.evaluate(({ connection, ufrag }) => {
    const now = globalThis.room.media.connection;
    return {
      same: now === connection,
      restarted: /a=ice-ufrag:(.+)/.exec(now.localDescription.sdp)[1] !== ufrag,
      ...globalThis.states,
    };
  });
}
