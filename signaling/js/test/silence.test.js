import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Silence } from '../src/silence.js';

/** A connection that is looked at as often as it says, and what came of it, by the milliseconds since `fallsSilent`. */
function watched(patienceMs = 800) {
  const silence = new Silence(patienceMs);
  let [now, packets, since] = [1_000_000, 0, 0];
  const told = [];
  const look = (grown, { passed = silence.next, roundTripMs = 0 } = {}) => {
    now += passed;
    packets += grown;
    const verdict = silence.look(now, packets, roundTripMs);
    if (verdict) told.push([verdict, now - since]);
    return verdict;
  };
  return {
    look,
    told,
    flows(looks = 10) {
      for (let index = 0; index < looks; index += 1) look(12);
      since = now;
    },
    silent(ms, options) {
      for (const end = now + ms; now + silence.next <= end;) look(0, options);
    },
  };
}

test('what flowed and falls silent is asked after, and then sought anew', () => {
  const { flows, silent, told } = watched();
  flows();
  silent(1_000);
  assert.deepEqual(told.map(([verdict]) => verdict), ['ask', 'restart']);
  const [[, asked], [, restarted]] = told;
  assert.ok(asked <= 400, `asked after ${asked} ms`);
  assert.ok(restarted >= 800 && restarted <= 900, `sought anew after ${restarted} ms`);
});

test('where nothing flowed, silence means nothing', () => {
  const { look, silent, told } = watched();
  silent(60_000);
  // Reports now and then, and a sound that is silent itself.
  for (let second = 0; second < 60; second += 1) {
    look(1);
    silent(750);
  }
  assert.deepEqual(told, []);
});

test('two looks with traffic are no flow yet', () => {
  const { flows, silent, told } = watched();
  flows(2);
  silent(5_000);
  assert.deepEqual(told, []);
});

test('a reply says that there is only nothing to send', () => {
  const { flows, look, silent, told } = watched();
  flows();
  while (look(0) !== 'ask');
  look(2);
  silent(60_000);
  assert.equal(told.length, 1);
  flows();
  silent(1_000);
  assert.equal(told.length, 3, 'and what flows again is watched again');
});

test('the last packets before a death do not hide it', () => {
  const { flows, look, silent, told } = watched();
  flows();
  look(1);
  silent(1_000);
  assert.equal(told.at(-1)[0], 'restart');
});

test('the pauses between attempts grow, up to half a minute, and begin anew', () => {
  const { flows, silent, told } = watched();
  flows();
  silent(200_000);
  const times = told.filter(([verdict]) => verdict === 'restart').map(([, at]) => at);
  const pauses = times.slice(1).map((at, index) => at - times[index]);
  assert.deepEqual(pauses.slice(0, 7), [2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  flows();
  const before = told.length;
  silent(3_500);
  assert.deepEqual(told.slice(before).map(([verdict]) => verdict), ['ask', 'restart', 'restart']);
});

test('a long way has time for its reply', () => {
  const { flows, silent, told } = watched();
  flows();
  silent(1_300, { roundTripMs: 500 });
  assert.deepEqual(told.map(([verdict]) => verdict), ['ask']);
  silent(300, { roundTripMs: 500 });
  assert.deepEqual(told.map(([verdict]) => verdict), ['ask', 'restart']);
});

test('timers that are held back, or a machine that slept, are no silence', () => {
  const { flows, look, told } = watched();
  flows();
  for (let index = 0; index < 60; index += 1) look(50, { passed: 1_000 });
  assert.deepEqual(told, []);
  // Awake again: the counters have stood still for an hour.
  look(0, { passed: 3_600_000 });
  look(12);
  assert.deepEqual(told.map(([verdict]) => verdict), ['ask']);
});

test('a counter that is set back is no traffic', () => {
  const { flows, look, silent, told } = watched();
  flows();
  look(-50);
  silent(1_000);
  assert.equal(told.at(-1)[0], 'restart');
});
