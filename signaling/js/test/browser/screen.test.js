import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { openClass, OUTPUT, PHONE, seesAndHears, until } from './harness.js';

/**
 * The height of what a page receives of a publication, once it is decoded.
 * @param {import('playwright-core').Page} page
 * @param {string} publication
 */
function heightOf(page, publication) {
  return page.evaluate(async (id) => {
    const { slots } = await globalThis.room.stats();
    const slot = slots.find((one) => one.publication === id);
    return slot?.framesDecoded > 0 ? slot.frameHeight : undefined;
  }, publication);
}

/**
 * @param {import('playwright-core').Page} page
 * @param {import('../../src/messages.js').Source} source
 */
function ownPublication(page, source) {
  return until(() => page.evaluate((of) => globalThis.room.state.publicationOf(globalThis.room.me.id, of)?.id, source), `a ${source} is published`);
}

test('a screen is shared as a second picture, shown large and first, and gone when sharing ends', async (t) => {
  const { host, guests: [ben] } = await openClass(t, ['Ben']);
  await seesAndHears(host, 1);
  const camera = await ownPublication(ben, 'camera');

  await ben.locator('#control-screen').click();
  const screen = await ownPublication(ben, 'screen');
  assert.notEqual(screen, camera);
  const shared = await ben.evaluate(() => {
    const track = globalThis.room.media.trackOf('screen');
    return { hint: track.contentHint, height: track.getSettings().height };
  });
  assert.equal(shared.hint, 'detail');
  await host.locator('.tile.screen[data-big]', { hasText: 'Ben’s screen' }).waitFor();
  // It is asked for as sharp as it is sent, and the camera goes on.
  const sent = () => ben.evaluate(async () => {
    const { sending } = await globalThis.room.stats();
    const [large] = sending.filter((one) => one.rid === 'h' && one.contentType === 'screenshare');
    return large?.frameHeight;
  });
  await until(async () => {
    const height = await heightOf(host, screen);
    return height !== undefined && height === await sent() ? true : undefined;
  }, 'the host sees the screen as large as it is sent');
  await seesAndHears(host, 2);
  await host.screenshot({ path: path.join(OUTPUT, 'screen-desk.png') });
  await host.setViewportSize(PHONE);
  await host.screenshot({ path: path.join(OUTPUT, 'screen-phone.png') });

  await ben.locator('#control-screen').click();
  await host.locator('.tile.screen').waitFor({ state: 'detached' });
  await host.waitForFunction(() => globalThis.room.state.publications.size === 4);
  await seesAndHears(host, 1);
});

test('a place for a role shows whoever has it: the newest screen, and who speaks', async (t) => {
  const { host, guests: [ben, chiyo] } = await openClass(t, ['Ben', 'Chiyo']);
  await seesAndHears(host, 2);

  // The fake microphones beep: somebody is heard to speak, and their tile says so.
  await host.waitForFunction(() => globalThis.room.speakers.length > 0);
  const loud = await host.evaluate(() => globalThis.room.speakers.map(({ level }) => level));
  assert.ok(loud.every((level) => level > 0 && level < 60), `${loud}`);
  await host.locator('.tile[data-speaks]').first().waitFor();
  await host.screenshot({ path: path.join(OUTPUT, 'speaking-desk.png') });

  // Tiles give way to two places for roles.
  await host.evaluate(() => {
    const { room } = globalThis;
    document.querySelectorAll('.tile video').forEach((video) => room.hide(video));
    room.show = room.spotlight = () => {};
    globalThis.places = ['screen', 'speaker'].map((role, index) => {
      const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true, width: 320, height: 180 });
      // On the screen wherever the page is scrolled to.
      Object.assign(video.style, { position: 'fixed', top: 0, left: `${index * 330}px`, pointerEvents: 'none' });
      document.body.prepend(video);
      room.showRole(role, video);
      return video;
    });
  });
  const inPlaces = () => host.evaluate(() => globalThis.places.map((video) => globalThis.room.roleIn(video)));
  const moves = (index) => host.waitForFunction((at) => globalThis.places[at].videoWidth > 0 && !globalThis.places[at].paused, index);
  const cameras = [await ownPublication(ben, 'camera'), await ownPublication(chiyo, 'camera')];
  await moves(1);
  const [none, speaker] = await inPlaces();
  assert.equal(none, null);
  assert.ok(cameras.includes(speaker), 'the camera of one of the others');

  await ben.locator('#control-screen').click();
  const first = await ownPublication(ben, 'screen');
  await until(async () => (await inPlaces())[0] === first || undefined, 'the screen is shown');
  await moves(0);
  await chiyo.locator('#control-screen').click();
  const second = await ownPublication(chiyo, 'screen');
  await until(async () => (await inPlaces())[0] === second || undefined, 'the newer screen is shown');
  await chiyo.locator('#control-screen').click();
  await until(async () => (await inPlaces())[0] === first || undefined, 'the older one again');

  // Who falls silent leaves the place to who goes on.
  const remaining = speaker === cameras[0] ? [chiyo, cameras[1]] : [ben, cameras[0]];
  const silent = speaker === cameras[0] ? ben : chiyo;
  await host.locator('#control-mic:not([disabled])').click();
  await silent.locator('#control-mic:not([disabled])').click();
  await until(async () => (await inPlaces())[1] === remaining[1] || undefined, 'the one who is still heard');
});
