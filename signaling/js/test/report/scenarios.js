/**
 * What is played, and what it has to show: the promises of media over bad lines, one scenario after the other.
 */
import { fairness, firstFrame, freezes, growth, growthBetween, longestGap, quantile, queueP95, rateDown, settled, within } from './measures.js';
import { receivers } from './chart.js';
import { pass } from './stage.js';

/**
 * @typedef {object} Verdict
 * @property {string} promise
 * @property {number | null} value null when what was waited for never came
 * @property {string} unit
 * @property {number} limit
 * @property {'at least' | 'at most'} sense
 *
 * @typedef {object} Scenario
 * @property {string} name of its files
 * @property {string} title
 * @property {(stage: import('./stage.js').Stage) => Promise<Verdict[]>} play
 */

/** What a line is when nothing is wrong with it. */
const GOOD = 'delay=10 jitter=2';
const ROUND_TRIP_MS = 20;
const FULL = 540;
/** Time for a first estimate and the largest picture, before anything is measured. */
const WARM_UP_MS = 6_000;
/** So long that a picture more or less at either end, which no counter tells, is nothing: 0.1 % of the pictures. */
const LOSSY_MS = 40_000;
/** Until a player that finds itself on a lossy line waits for repairs. */
const SETS_IN_MS = 3_000;
/** So many that one of them may take longer than 95 of 100. */
const REQUESTS = 20;

/** @type {Scenario[]} */
export const SCENARIOS = [
  {
    name: 'good-line',
    title: 'A good line: 10 ms, nothing lost',
    async play(stage) {
      const [up, down] = [await stage.line(GOOD), await stage.line(GOOD, { seed: 2 })];
      const { publisher, watchers } = await enter(stage, { up, downs: [down] });
      const [watcher] = watchers;
      const from = stage.mark('measured');
      await pass(10_000);
      const span = { from, to: stage.mark('end') };
      await collect(stage);
      const { begun, frames } = watcher.seen;
      const { samples } = publisher.seen;
      const sent = samples.find(({ encodings }) => encodings.some(({ rid, framesEncoded }) => rid === 'h' && framesEncoded > 0));
      return [
        atMost('from joining to the first picture', frames[0].at - begun, 'ms', 1_000),
        atMost('from publishing to the first of the largest picture', sent ? sent.at - publisher.seen.begun : null, 'ms', 5_000),
        atLeast('the publisher may send what its largest picture needs', last(samples).available / 1000, 'kbit/s', 1_000),
        atMost('freezes in 10 s', freezeCount(watcher, span), '', 0),
        atLeast('frames shown', shownRate(watcher, span), '/s', 24),
        atLeast('full height, share of the frames', share(watcher, span, FULL), '%', 99),
      ];
    },
  },
  // What is repaired late enough to ask for a key frame was not recovered: 0.2 % of 300 lost packets are none or one.
  lossy('loss-5', 5, { onsetMs: 300, whole: 99.5, keyFrames: 0, gapMs: 500, full: 99, freezes: 0 }),
  lossy('loss-10', 10, { onsetMs: 600, whole: 98, keyFrames: 2, gapMs: 1_000, full: 80, freezes: null }),
  lossy('loss-20', 20, { onsetMs: 2_000, whole: 50, keyFrames: 15, gapMs: 2_000, full: 0, freezes: null }),
  {
    name: 'rate-steps',
    title: 'Down 2.5 to 0.6 to 2.5 Mbit/s, a queue of 300 ms',
    async play(stage) {
      const line = await stage.line(`delay=10 ${rate(2_500)}`);
      // The second picture is shown small: what fits into 0.6 Mbit/s is a layer of each.
      const { watchers: [watcher] } = await enter(stage, { downs: [line], others: 1 });
      await pass(6_000);
      const step = stage.mark('0.6 Mbit/s');
      line.change(`down ${rate(600)}`);
      await pass(20_000);
      const narrow = { from: step, to: stage.mark('2.5 Mbit/s') };
      line.change(`down ${rate(2_500)}`);
      await pass(15_000);
      const after = { from: narrow.to, to: stage.mark('end') };
      await collect(stage);
      const { frames } = watcher.seen;
      const late = { from: narrow.from + 5_000, to: narrow.to };
      return [
        atLeast('full height before the step', share(watcher, { from: step - 3_000, to: step }, FULL), '%', 90),
        atMost('time until a lower layer is allotted', allotmentChange(stage, narrow), 'ms', 2_000),
        atMost('time until it is shown', firstFrame(frames, narrow.from, ({ height }) => height < FULL), 'ms', 2_000),
        atMost('queue p95 from 5 s after the step on', queueP95(line.reports, late), 'ms', 150),
        atLeast('utilisation of 0.6 Mbit/s, same time', rateDown(line.reports, late) / 6_000, '%', 70),
        atMost('longest time without a frame, same time', longestGap(frames, late), 'ms', 500),
        atMost('time until the full height is back', firstFrame(frames, after.from, ({ height }) => height === FULL), 'ms', 10_000),
        atMost('freezes once it is wide again', freezeCount(watcher, after), '', 0),
      ];
    },
  },
  {
    name: 'shared-bottleneck',
    // 1.0, 0.62 and 0.33 Mbit/s are the full picture, the same at half the frames, and the next smaller one. Shared evenly, by twice the second, 2 Mbit/s
    // are 62 % full; the first and the second fill 82 %, at 0.95 by Jain's index. Both are good answers.
    title: 'Two watchers share 2 Mbit/s, a queue of 300 ms',
    async play(stage) {
      const line = await stage.line('delay=10', { shared: true });
      line.change(`down ${rate(2_000)}`);
      const { watchers } = await enter(stage, { downs: [line, line] });
      const from = stage.mark('measured');
      await pass(14_000);
      const span = { from, to: stage.mark('end') };
      await collect(stage);
      const shares = watchers.map((watcher) => growth(watcher.seen.samples, span, (one) => total(one.slots, 'bytesReceived')));
      return [
        atLeast('fairness between the two (Jain)', fairness(shares), '', 0.8),
        atMost('queue p95', queueP95(line.reports, span), 'ms', 150),
        atLeast('utilisation', rateDown(line.reports, span) / 20_000, '%', 60),
        atMost('longest time without a frame, of both', Math.max(...watchers.map(({ seen }) => longestGap(seen.frames, span))), 'ms', 500),
      ];
    },
  },
  {
    name: 'blackout',
    title: 'Nothing passes for 3 s, either way',
    async play(stage) {
      const line = await stage.line(GOOD);
      const { watchers: [watcher] } = await enter(stage, { downs: [line] });
      const from = stage.mark('blackout');
      line.change('pause 3s');
      await pass(3_000);
      const healed = stage.mark('healed');
      await pass(9_000);
      const to = stage.mark('end');
      await collect(stage);
      const { frames } = watcher.seen;
      return [
        atMost('from healing to the first frame', firstFrame(frames, Math.max(healed, from + 3_000)), 'ms', 1_000),
        atMost('from healing to the full height for good', settled(frames, { from: healed, to }, ({ height }) => height === FULL), 'ms', 6_000),
        atMost('connections made anew', connects(watcher, { from, to }), '', 0),
      ];
    },
  },
  {
    name: 'long-blackout',
    title: 'Nothing passes for 20 s, either way',
    async play(stage) {
      const line = await stage.line(GOOD);
      const { watchers: [watcher] } = await enter(stage, { downs: [line] });
      const from = stage.mark('blackout');
      line.change('pause 20s');
      await pass(20_000);
      const healed = Math.max(stage.mark('healed'), from + 20_000);
      await pass(9_000);
      stage.mark('end');
      await collect(stage);
      return [atMost('from healing to the first frame', firstFrame(watcher.seen.frames, healed), 'ms', 2_000)];
    },
  },
  {
    name: 'new-address',
    title: 'The client changes its address',
    async play(stage) {
      const line = await stage.line(GOOD);
      const { watchers: [watcher] } = await enter(stage, { downs: [line] });
      const from = stage.mark('new address');
      line.change('rebind');
      await pass(9_000);
      const to = stage.mark('end');
      await collect(stage);
      // What was under way to the old address is still shown: media is back after the longest gap there is.
      return [
        atMost('longest time without a frame', longestGap(watcher.seen.frames, { from, to }), 'ms', 2_000),
        atMost('connections made anew', connects(watcher, { from, to }), '', 0),
      ];
    },
  },
  {
    name: 'spotlight',
    title: 'A small picture is made large, beside two others: the layer that was paused comes',
    async play(stage) {
      const [up, down] = [await stage.line(GOOD), await stage.line(GOOD, { seed: 2 })];
      const { publisher, watchers: [watcher] } = await enter(stage, { up, downs: [down], others: 2, sampleMs: 50 });
      const requests = [];
      for (let request = 0; request < REQUESTS; request += 1) {
        stage.mark('small');
        await watcher.resize(120);
        await pass(7_500);
        const from = stage.mark('large');
        await watcher.resize(FULL);
        await pass(3_000);
        requests.push({ from, to: from + 3_000 });
      }
      stage.mark('end');
      await collect(stage);
      const sent = (/** @type {any} */ sample) => sample.encodings.find(({ rid }) => rid === 'h')?.packetsSent ?? 0;
      const { samples } = publisher.seen;
      const firstPacket = (/** @type {number} */ from) => {
        const before = sent(samples.findLast(({ at }) => at <= from));
        const first = samples.find((sample) => sample.at > from && sent(sample) > before);
        return first ? first.at - from : null;
      };
      const firstLarge = (/** @type {number} */ from) => firstFrame(watcher.seen.frames, from, ({ height }) => height === FULL);
      const paused = requests.filter(({ from }) => growth(samples, { from: from - 1_000, to: from }, sent) === 0);
      const all = { from: requests[0].from, to: requests[REQUESTS - 1].to };
      // The first picture is the largest of the three.
      const others = growth(watcher.seen.samples, all, ({ slots }) => total(slots.slice(1), 'freezeCount'));
      return [
        atLeast(`the layer that nobody needed was paused, times of ${REQUESTS}`, paused.length, '', REQUESTS),
        p95('from need to the first packet of the paused layer', requests.map(({ from }) => firstPacket(from)), ROUND_TRIP_MS + 300),
        p95('from request to the first frame of full height', requests.map(({ from }) => firstLarge(from)), 500),
        atMost('freezes on the way', requests.reduce((sum, span) => sum + freezeCount(watcher, span), 0), '', 0),
        atMost('freezes of the other pictures', others, '', 0),
      ];
    },
  },
];

/**
 * Loss both ways between the server and the watcher.
 * @param {string} name
 * @param {number} percent
 * @param {{onsetMs: number, whole: number, keyFrames: number, gapMs: number, full: number, freezes: number | null}} limits shares in percent
 * @returns {Scenario}
 */
function lossy(name, percent, limits) {
  return {
    name,
    title: `${percent} % lost both ways, 25 +- 10 ms, 1 % out of order`,
    async play(stage) {
      const line = await stage.line('delay=25 jitter=10');
      const { publisher, watchers: [watcher] } = await enter(stage, { downs: [line] });
      line.change(`loss=${percent} reorder=1`);
      const begins = stage.mark(`${percent} % loss`);
      await pass(SETS_IN_MS);
      const from = stage.mark('measured');
      await pass(LOSSY_MS);
      const to = stage.mark('end');
      await pass(1_000);
      await collect(stage);
      const span = { from, to };
      const grown = (/** @type {string} */ counter) => growth(watcher.seen.samples, span, ({ slots }) => total(slots, counter));
      const lost = within(line.reports, span).reduce((sum, { down }) => sum + down.lost, 0);
      const encoded = Math.max(...['h', 'm', 'l'].map((one) => growthBetween(publisher.seen.samples, span, ({ encodings }) => encodings.find(({ rid }) => rid === one)?.framesEncoded ?? 0)));
      // What was sent last is still held back when the time is over.
      const longer = Math.max(0, heldBack(watcher, { from: to - 1_000, to }) - heldBack(watcher, { from: from - 1_000, to: from }));
      const decoded = growthBetween(watcher.seen.samples, { from, to: to + longer }, ({ slots }) => total(slots, 'framesDecoded'));
      const verdicts = [
        atMost(`longest time without a frame in the ${SETS_IN_MS / 1000} s in which it sets in`, longestGap(watcher.seen.frames, { from: begins, to: from }), 'ms', limits.onsetMs),
        atLeast(`frames decoded of those sent (${lost} packets lost, ${grown('retransmittedPacketsReceived')} repairs came)`, (100 * decoded) / Math.max(1, encoded), '%', limits.whole),
        atMost('times a key frame had to be asked for', grown('pliCount'), '', limits.keyFrames),
        atMost('longest time without a frame', longestGap(watcher.seen.frames, span), 'ms', limits.gapMs),
        atMost('held back at the end', heldBack(watcher, { from: to - 1_000, to }), 'ms', 450),
        atLeast('full height, share of the frames', share(watcher, span, FULL), '%', limits.full),
      ];
      if (limits.freezes !== null) verdicts.push(atMost(`freezes in ${LOSSY_MS / 1000} s`, freezeCount(watcher, span), '', limits.freezes));
      return verdicts;
    },
  };
}

/**
 * A publisher, others with smaller pictures, and one watcher for each line down, until all see, the publisher's own
 * line has room for its largest picture, and all have warmed up.
 * @param {import('./stage.js').Stage} stage
 * @param {{up?: import('./stage.js').Line, downs: import('./stage.js').Line[], height?: number, others?: number, sampleMs?: number}} options
 */
async function enter(stage, { up, downs, height = FULL, others = 0, sampleMs }) {
  const publisher = await stage.publisher({ line: up, height: FULL, ...(sampleMs ? { sampleMs } : {}) });
  for (let other = 0; other < others; other += 1) await stage.publisher({ height: 360 });
  const watchers = [];
  for (const line of downs) watchers.push(await stage.watcher({ line, height }));
  for (const watcher of watchers) await watcher.sees();
  await publisher.sends();
  await pass(WARM_UP_MS);
  return { publisher, watchers };
}

/** @param {import('./stage.js').Stage} stage */
async function collect(stage) {
  for (const actor of stage.actors) await actor.collect();
}

/**
 * A rate with a queue of 300 ms, as `Line.change` takes it.
 * @param {number} kbps
 */
function rate(kbps) {
  return `rate=${kbps}k queue=${Math.round((kbps / 8) * 300)}`;
}

/**
 * How long until the server allots another target than at first.
 * @param {import('./stage.js').Stage} stage
 * @param {import('./measures.js').Span} span
 */
function allotmentChange(stage, span) {
  const allotted = (/** @type {import('./stage.js').ServerReport | undefined} */ report) =>
    JSON.stringify(receivers(report?.participants ?? [])[0]?.slots.find(({ publication }) => publication !== null)?.allotted);
  const before = allotted(stage.server.findLast(({ at }) => at <= span.from));
  const changed = within(stage.server, span).find((report) => allotted(report) !== before);
  return changed ? changed.at - span.from : null;
}

/**
 * How long a frame was held back on average before it was decoded.
 * @param {import('./stage.js').Actor} watcher
 * @param {import('./measures.js').Span} span
 */
function heldBack({ seen }, span) {
  const grown = (/** @type {string} */ counter) => growthBetween(seen.samples, span, ({ slots }) => total(slots, counter));
  return (1000 * grown('jitterBufferDelay')) / Math.max(1, grown('jitterBufferEmittedCount'));
}

/**
 * @param {import('./stage.js').Actor} watcher
 * @param {import('./measures.js').Span} span
 */
function freezeCount({ seen }, { from, to }) {
  return freezes(seen.frames).filter((freeze) => freeze.to > from && freeze.from < to).length;
}

/**
 * @param {import('./stage.js').Actor} watcher
 * @param {import('./measures.js').Span} span
 */
function shownRate({ seen }, span) {
  return (within(seen.frames, span).length * 1000) / (span.to - span.from);
}

/**
 * @param {import('./stage.js').Actor} watcher
 * @param {import('./measures.js').Span} span
 * @param {number} height
 */
function share({ seen }, span, height) {
  const frames = within(seen.frames, span);
  return (100 * frames.filter((frame) => frame.height === height).length) / Math.max(1, frames.length);
}

/**
 * @param {import('./stage.js').Actor} watcher
 * @param {import('./measures.js').Span} span
 */
function connects({ seen }, span) {
  return within(seen.states, span).filter(({ state }) => state === 'connecting').length;
}

/**
 * @param {any[]} entries
 * @param {string} counter
 */
function total(entries, counter) {
  return entries.reduce((sum, entry) => sum + entry[counter], 0);
}

/**
 * What 95 of 100 do not exceed, with the longest told beside it; null, and never, when it never ended.
 * @param {string} promise
 * @param {(number | null)[]} times
 * @param {number} limit
 */
function p95(promise, times, limit) {
  const ended = times.map((time) => time ?? Infinity);
  const value = quantile(ended.map((time) => ({ value: time, weight: 1 })), 0.95);
  const longest = Math.max(...ended);
  const said = longest === Infinity ? 'one never ended' : `the longest ${longest.toFixed()} ms`;
  return atMost(`${promise}, p95 of ${times.length}, ${said}`, value === Infinity ? null : value, 'ms', limit);
}

/**
 * @template T
 * @param {T[]} list
 */
function last(list) {
  return list[list.length - 1];
}

/**
 * @param {string} promise
 * @param {number | null} value
 * @param {string} unit
 * @param {number} limit
 * @returns {Verdict}
 */
function atMost(promise, value, unit, limit) {
  return { promise, value, unit, limit, sense: 'at most' };
}

/**
 * @param {string} promise
 * @param {number | null} value
 * @param {string} unit
 * @param {number} limit
 * @returns {Verdict}
 */
function atLeast(promise, value, unit, limit) {
  return { promise, value, unit, limit, sense: 'at least' };
}
