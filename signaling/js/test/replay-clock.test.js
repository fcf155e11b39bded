import assert from 'node:assert/strict';
import { test } from 'node:test';
import { correction, MasterClock, MOST_BEND, SEEK_BEYOND_MS, timeline } from '../../../examples/replay/clock.js';

/** A master clock on a time the test moves. */
function clockOf(duration) {
  const time = { now: 5000 };
  return { clock: new MasterClock(duration, () => time.now), time };
}

test('the clock runs only while it plays, at its rate, and no further than the end', () => {
  const { clock, time } = clockOf(10_000);
  time.now += 700;
  assert.equal(clock.time, 0);
  clock.play();
  time.now += 1000;
  assert.equal(clock.time, 1000);
  clock.setRate(2);
  time.now += 1000;
  assert.equal(clock.time, 3000);
  clock.pause();
  time.now += 9000;
  assert.equal(clock.time, 3000);
  clock.play();
  time.now += 9000;
  assert.equal(clock.time, 10_000);
});

test('a seek keeps playing from there and stays within the session', () => {
  const { clock, time } = clockOf(10_000);
  clock.play();
  clock.seek(4000);
  time.now += 500;
  assert.equal(clock.time, 4500);
  clock.seek(-3);
  assert.equal(clock.time, 0);
  clock.seek(99_999);
  assert.equal(clock.time, 10_000);
});

test('played again at the end, it begins anew', () => {
  const { clock, time } = clockOf(1000);
  clock.play();
  time.now += 2000;
  clock.pause();
  clock.play();
  assert.equal(clock.time, 0);
});

test('knots map media time to session time and back, straight on beyond them', () => {
  const line = timeline([[0, 2000], [10_000, 12_100], [20_000, 22_000]]);
  assert.equal(line.toSession(0), 2000);
  assert.equal(line.toSession(5000), 7050);
  assert.equal(line.toMedia(12_100), 10_000);
  assert.equal(line.toSession(30_000), 31_900);
  assert.equal(line.toMedia(990), -1000);
  for (const at of [0, 1234, 10_000, 15_500, 25_000]) {
    assert.ok(Math.abs(line.toMedia(line.toSession(at)) - at) < 1e-6);
  }
});

test('one knot is an offset', () => {
  assert.equal(timeline([[0, 700]]).toMedia(1000), 300);
});

test('a little off is left alone, more is bent within five per cent, far off is seeked', () => {
  assert.deepEqual(correction(5, 1), { seek: false, rate: 1 });
  const { seek, rate } = correction(40, 1);
  assert.equal(seek, false);
  assert.ok(rate > 1 && rate <= 1 + MOST_BEND);
  assert.equal(correction(-SEEK_BEYOND_MS, 1).rate, 1 - MOST_BEND);
  assert.equal(correction(SEEK_BEYOND_MS, 2).rate, 2 * (1 + MOST_BEND));
  assert.equal(correction(SEEK_BEYOND_MS + 1, 1).seek, true);
  assert.equal(correction(-SEEK_BEYOND_MS - 1, 1).seek, true);
});
