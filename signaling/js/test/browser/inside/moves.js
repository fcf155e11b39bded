import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { flows, openClass, seesAndHears } from '../harness.js';
import { ADDRESS } from '../network.js';
import { noteConnection, notePictures } from '../pictures.js';

const NEW_ADDRESS = '192.0.2.78';

const ip = (/** @type {string} */ words) => execFileSync('ip', words.split(' '));

test('the address is another, and the pictures go on', async (t) => {
  const { host, guests: [ben] } = await openClass(t, ['Ben']);
  const pages = [host, ben];
  for (const page of pages) await seesAndHears(page, 1);
  for (const page of pages) await flows(page);
  await host.evaluate(() => {
    globalThis.kinds = [];
    for (const kind of ['left', 'joined']) globalThis.room.addEventListener(kind, () => globalThis.kinds.push(kind));
  });
  const done = await noteConnection(ben);
  const gaps = await Promise.all(pages.map(notePictures));

  ip(`addr del ${ADDRESS}/24 dev media`);
  ip(`addr add ${NEW_ADDRESS}/24 dev media`);
  ip('route replace default dev media');
  for (const page of pages) await seesAndHears(page, 1);
  const [seen, bens] = await Promise.all(gaps.map((gap) => gap()));
  console.log(`without pictures for ${seen} and ${bens} ms`);
  assert.deepEqual(await host.evaluate(() => globalThis.kinds), [], 'nobody has left');
  const { same, restarted, media } = await done();
  assert.deepEqual({ same, restarted }, { same: true, restarted: true });
  assert.deepEqual(media, [], 'before the browser gave it up');
});
