import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { longestGap } from '../report/measures.js';
import { openClass, seesAndHears, until } from './harness.js';

/** What the pictures are painted in; the camera of the page itself is none of these. */
const COLOURS = { overhead: [200, 0, 0], pot: [0, 0, 200] };

/**
 * Publishes a canvas in one colour with something moving in it, as another camera or as a screen.
 * @param {import('playwright-core').Page} page
 * @param {keyof typeof COLOURS} name
 * @param {import('../../src/messages.js').Source} source
 * @returns {Promise<string>} the publication's id
 */
async function publishCanvas(page, name, source) {
  await page.evaluate(async ({ as, of, colour }) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
    const context = canvas.getContext('2d');
    setInterval(() => {
      context.fillStyle = `rgb(${colour})`;
      context.fillRect(0, 0, 640, 360);
      context.fillStyle = 'white';
      context.fillRect((performance.now() / 10) % 600, 300, 40, 40);
    }, 40);
    const [track] = canvas.captureStream(25).getVideoTracks();
    globalThis.own = { ...globalThis.own, [as]: await globalThis.room.media.publishAnother(of, track) };
  }, { as: name, of: source, colour: COLOURS[name] });
  return until(() => page.evaluate((as) => globalThis.own[as].id ?? undefined, name), `${name} is published`);
}

/**
 * Shows publications in elements of a page's own, which note when a frame was shown, in place of the page's tiles.
 * @param {import('playwright-core').Page} page
 * @param {string[]} publications
 */
function show(page, publications) {
  return page.evaluate((ids) => {
    const { room } = globalThis;
    document.querySelectorAll('.tile video').forEach((video) => room.hide(video));
    const place = room.show.bind(room);
    room.show = room.spotlight = () => {};
    globalThis.places = new Map(ids.map((id, index) => {
      const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true, width: 320, height: 180 });
      Object.assign(video.style, { position: 'fixed', top: 0, left: `${index * 330}px`, pointerEvents: 'none' });
      document.body.prepend(video);
      const frames = [];
      const note = () => {
        frames.push({ at: performance.now(), height: video.videoHeight });
        video.requestVideoFrameCallback(note);
      };
      video.requestVideoFrameCallback(note);
      place(id, video);
      return [id, { video, frames }];
    }));
  }, publications);
}

/**
 * The colour at the middle of each picture that is shown, as the name it was painted under; `other` for anything else.
 * @param {import('playwright-core').Page} page
 */
async function seen(page) {
  const pixels = await page.evaluate(() => [...globalThis.places].map(([id, { video, frames }]) => {
    const context = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d');
    if (frames.length > 0) context.drawImage(video, video.videoWidth / 2, video.videoHeight / 2, 1, 1, 0, 0, 1, 1);
    return [id, frames.length > 0 && video.srcObject ? [...context.getImageData(0, 0, 1, 1).data] : null];
  }));
  const nameOf = (/** @type {number[] | null} */ pixel) => {
    if (!pixel) return null;
    const near = Object.entries(COLOURS).find(([, colour]) => colour.every((value, index) => Math.abs(value - pixel[index]) < 60));
    return near?.[0] ?? 'other';
  };
  return new Map(pixels.map(([id, pixel]) => [id, nameOf(pixel)]));
}

/**
 * @param {import('playwright-core').Page} page
 * @param {string} publication
 */
const framesOf = (page, publication) => page.evaluate((id) => ({ frames: globalThis.places.get(id).frames, now: performance.now() }), publication);

test('two cameras and a screen of one participant are three pictures, each of its own', async (t) => {
  const { host, guests: [ben, chiyo] } = await openClass(t, ['Ben', 'Chiyo']);
  const watchers = [host, chiyo];
  for (const page of watchers) await seesAndHears(page, 2);
  const camera = await until(() => ben.evaluate(() => globalThis.room.state.publicationOf(globalThis.room.me.id, 'camera')?.id), 'a camera');
  const overhead = await publishCanvas(ben, 'overhead', 'camera');
  const pot = await publishCanvas(ben, 'pot', 'screen');
  const all = [camera, overhead, pot];
  const expected = [[camera, 'other'], [overhead, 'overhead'], [pot, 'pot']];

  for (const page of watchers) {
    const published = await until(() => page.evaluate((ids) => {
      const known = ids.map((id) => globalThis.room.state.publications.get(id)?.source);
      return known.every(Boolean) ? known : undefined;
    }, all), 'all three are known');
    assert.deepEqual(published, ['camera', 'camera', 'screen']);
    await show(page, all);
  }
  for (const page of watchers) {
    await until(async () => (isDeepStrictEqual([...await seen(page)], expected) ? true : undefined), 'each of the three is seen, in its own element');
  }

  // Nobody looks at the second camera in full: only its own large picture pauses.
  const active = () => ben.evaluate(async () => {
    const { sending } = await globalThis.room.stats();
    return Object.fromEntries(sending.filter(({ kind }) => kind === 'video').map(({ publication, rid, active: on }) => [`${publication} ${rid}`, on]));
  });
  await until(async () => ((await active())[`${overhead} h`] === false ? true : undefined), 'the large picture pauses');
  for (const page of watchers) {
    await page.evaluate((id) => Object.assign(globalThis.places.get(id).video, { width: 640, height: 360 }), overhead);
  }
  await until(async () => ((await active())[`${overhead} h`] ? true : undefined), 'the large picture comes back');

  // Muted for itself: the room knows of this one, and the others go on.
  await ben.evaluate(() => globalThis.own.overhead.mute(true));
  await host.waitForFunction((id) => globalThis.room.state.publications.get(id).muted, overhead);
  assert.deepEqual(await host.evaluate((ids) => ids.map((id) => globalThis.room.state.publications.get(id).muted), all), [false, true, false]);
  await ben.evaluate(() => globalThis.own.overhead.mute(false));
  await host.waitForFunction((id) => !globalThis.room.state.publications.get(id).muted, overhead);

  // Stopped, it goes away everywhere.
  const from = await Promise.all(watchers.map((page) => page.evaluate(() => performance.now())));
  await ben.evaluate(() => globalThis.own.overhead.stop());
  const rest = [camera, pot];
  for (const [index, page] of watchers.entries()) {
    await page.waitForFunction((id) => !globalThis.room.state.publications.has(id) && !globalThis.places.get(id).video.srcObject, overhead);
    for (const id of rest) {
      const before = (await framesOf(page, id)).frames.length;
      const { frames, now } = await until(async () => {
        const noted = await framesOf(page, id);
        return noted.frames.length > before + 50 ? noted : undefined;
      }, 'the others go on');
      t.diagnostic(`longest time without a frame of another: ${Math.round(longestGap(frames, { from: from[index], to: now }))} ms`);
    }
    const still = await seen(page);
    assert.deepEqual(rest.map((id) => still.get(id)), ['other', 'pot']);
  }
  assert.deepEqual(await ben.evaluate(() => globalThis.room.media.published.map(({ source }) => source)), ['camera', 'microphone', 'screen']);
});
