import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodingsFor } from '../src/encodings.js';
import { EVERY_MS, heightFor, ViewSender, viewOf } from '../src/view.js';

test('a picture that fills its box both ways needs the larger height of the two', () => {
  assert.equal(heightFor({ width: 320, height: 180 }, null, 1), 180);
  assert.equal(heightFor({ width: 320, height: 180 }, { width: 1280, height: 720 }, 2), 360);
  assert.equal(heightFor({ width: 320, height: 100 }, { width: 1280, height: 720 }, 1), 180);
  assert.equal(heightFor({ width: 90, height: 320 }, { width: 1280, height: 720 }, 1), 320);
});

test('a height stays within what the protocol allows', () => {
  assert.equal(heightFor({ width: 0, height: 0 }, null, 1), 1);
  assert.equal(heightFor({ width: 10, height: 9000 }, null, 3), 4320);
});

test('the largest picture comes first, each publication once, the unseen not at all', () => {
  const shown = [
    { publication: 'a', height: 180, visible: true },
    { publication: 'b', height: 720, visible: true },
    { publication: 'a', height: 360, visible: true },
    { publication: 'c', height: 900, visible: false },
  ];
  assert.deepEqual(viewOf(shown, 'all'), {
    video: [{ publication: 'b', max_height: 720 }, { publication: 'a', max_height: 360 }],
    audio: 'all',
  });
});

test('equal pictures keep their order, so that nothing moves about', () => {
  const shown = ['x', 'y', 'z'].map((publication) => ({ publication, height: 200, visible: true }));
  assert.deepEqual(viewOf(shown, ['x']).video.map((v) => v.publication), ['x', 'y', 'z']);
});

test('a small capture is sent in fewer encodings, the largest first', () => {
  assert.deepEqual(encodingsFor(720).map((e) => e.rid), ['h', 'm', 'l']);
  assert.deepEqual(encodingsFor(720).map((e) => e.scaleResolutionDownBy), [1, 2, 4]);
  assert.deepEqual(encodingsFor(360).map((e) => e.rid), ['h', 'm']);
  assert.deepEqual(encodingsFor(240), [{ maxBitrate: 160_000 }]);
  const rates = encodingsFor(1080).map((e) => e.maxBitrate ?? 0);
  assert.ok(rates[0] > rates[1] && rates[1] > rates[2]);
});

test('roles are asked for in the order of their places, whatever their sizes', () => {
  const shown = [
    { role: 'speaker', height: 180, visible: true, maxFps: 15 },
    { publication: 'a', height: 300, visible: true },
    { role: 'screen', height: 720, visible: true },
    { role: 'speaker', height: 90, visible: false },
    { role: 'speaker', height: 360, visible: true, priority: 9 },
  ];
  assert.deepEqual(viewOf(shown, 'all').video, [
    { role: 'screen', max_height: 720 },
    { role: 'speaker', max_height: 180, max_fps: 15 },
    { publication: 'a', max_height: 300 },
    { role: 'speaker', max_height: 360, priority: 9 },
  ]);
});

test('of two places of one publication the more demanding counts', () => {
  const place = (more) => ({ publication: 'a', height: 180, visible: true, ...more });
  const both = (one, other) => viewOf([place(one), place(other)], 'all').video;
  assert.deepEqual(both({ maxFps: 5, priority: 2 }, { maxFps: 15, height: 360 }), [{ publication: 'a', max_height: 360, max_fps: 15, priority: 2 }]);
  assert.deepEqual(both({ maxFps: 5, priority: 2 }, { priority: 3 }), [{ publication: 'a', max_height: 180, priority: 3 }]);
});

test('who is in the light comes first, as sharp as can be; the others stay', () => {
  const shown = ['a', 'b'].map((publication) => ({ publication, height: 180, visible: true }));
  const small = { publication: 'a', max_height: 180 };
  assert.deepEqual(viewOf(shown, 'all', 'b').video, [{ publication: 'b', max_height: 4320, priority: 10 }, small]);
  assert.deepEqual(viewOf([shown[0]], 'all', 'b').video.length, 2, 'before a place shows it');
});

test('a wish is sent at once, those that follow soon together', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const sent = [];
  const views = new ViewSender((view) => sent.push(view.video.map(({ publication }) => publication)));
  views.hear([]);
  views.spotlight('p1/0');
  t.mock.timers.tick(0);
  assert.deepEqual(sent, [['p1/0']]);
  views.spotlight('p2/0');
  t.mock.timers.tick(EVERY_MS - 1);
  views.spotlight('p3/0');
  assert.equal(sent.length, 1);
  t.mock.timers.tick(1);
  assert.deepEqual(sent, [['p1/0'], ['p3/0']]);
  t.mock.timers.tick(10 * EVERY_MS);
  views.spotlight(null);
  t.mock.timers.tick(0);
  assert.deepEqual(sent[2], []);
  views.spotlight('p1/0');
  views.close();
  t.mock.timers.tick(EVERY_MS);
  assert.equal(sent.length, 3, 'nothing after its end');
});
