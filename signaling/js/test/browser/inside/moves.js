import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { openClass, seesAndHears } from '../harness.js';
import { ADDRESS } from '../network.js';

const NEW_ADDRESS = '192.0.2.78';

const ip = (/** @type {string} */ words) => execFileSync('ip', words.split(' '));

test('the address is another, and the pictures go on', async (t) => {
  const { host, guests: [ben] } = await openClass(t, ['Ben']);
  const pages = [host, ben];
  for (const page of pages) await seesAndHears(page, 1);
  await host.evaluate(() => {
    globalThis.kinds = [];
    for (const kind of ['left', 'joined']) globalThis.room.addEventListener(kind, () => globalThis.kinds.push(kind));
  });
  const former = await ben.evaluateHandle(() => globalThis.room.media.connection);

  ip(`addr del ${ADDRESS}/24 dev media`);
  ip(`addr add ${NEW_ADDRESS}/24 dev media`);
  ip('route replace default dev media');
  const from = performance.now();
  for (const page of pages) await seesAndHears(page, 1);
  console.log(`seen and heard again after ${Math.round(performance.now() - from)} ms`);
  assert.deepEqual(await host.evaluate(() => globalThis.kinds), [], 'nobody has left');
  const same = await former.evaluate((connection) => connection === globalThis.room.media.connection);
  console.log(`the connection is ${same ? 'the same' : 'a fresh one'}`);
});
