import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fairness, firstFrame, freezes, growth, longestGap, quantile, settled } from './report/measures.js';

/** Frames of 540 lines every 40 ms from `from` on. */
const steady = (from, count) => Array.from({ length: count }, (_, index) => ({ at: from + index * 40, height: 540 }));

test('a freeze is a gap above three mean intervals and 150 ms above one', () => {
  const before = steady(0, 40);
  const end = before[39].at;
  assert.deepEqual(freezes([...before, ...steady(end + 190, 5)]), []);
  assert.deepEqual(freezes([...before, ...steady(end + 200, 5)]), [{ from: end, to: end + 200 }]);
  assert.deepEqual(freezes([...steady(0, 20), ...steady(2_000, 5)]), [], 'too few to know a mean');
});

test('gaps reach to both ends of what is looked at', () => {
  const frames = steady(1_000, 3);
  assert.equal(longestGap(frames, { from: 900, to: 1_100 }), 100);
  assert.equal(longestGap(frames, { from: 1_000, to: 2_000 }), 920);
  assert.equal(longestGap([], { from: 0, to: 50 }), 50);
});

test('a height is there at its first frame, and settled when no other comes any more', () => {
  const frames = [[0, 270], [40, 540], [80, 270], [120, 540], [160, 540]].map(([at, height]) => ({ at, height }));
  const full = ({ height }) => height === 540;
  assert.equal(firstFrame(frames, 10, full), 30);
  assert.equal(firstFrame(frames, 200), null);
  assert.equal(settled(frames, { from: 0, to: 200 }, full), 120);
  assert.equal(settled(frames, { from: 0, to: 90 }, full), null);
});

test('counters, quantiles and fairness', () => {
  const samples = [1, 5, 9].map((n) => ({ at: n * 10, n }));
  assert.equal(growth(samples, { from: 10, to: 50 }, ({ n }) => n), 4);
  assert.equal(quantile([{ value: 300, weight: 1 }, { value: 10, weight: 19 }], 0.95), 10);
  assert.equal(quantile([{ value: 300, weight: 2 }, { value: 10, weight: 19 }], 0.95), 300);
  assert.equal(quantile([], 0.95), 0);
  assert.equal(fairness([2, 2]), 1);
  assert.equal(fairness([2, 0]), 0.5);
});
