/**
 * What the samples of a run come to. Times are in milliseconds of Unix time, spans in milliseconds.
 */

/**
 * @typedef {{at: number, height: number}} Frame shown to the watcher
 * @typedef {{from: number, to: number}} Span
 */

/** Intervals that the mean of a freeze's definition is taken over. */
const MEAN_OVER = 30;

/**
 * The freezes: gaps between shown frames above three times the mean interval, and 150 ms above it at least.
 * @param {Frame[]} frames
 * @returns {Span[]}
 */
export function freezes(frames) {
  const found = [];
  /** @type {number[]} */
  const recent = [];
  for (let index = 1; index < frames.length; index += 1) {
    const [from, to] = [frames[index - 1].at, frames[index].at];
    const mean = recent.reduce((sum, gap) => sum + gap, 0) / recent.length;
    if (recent.length === MEAN_OVER && to - from > Math.max(3 * mean, mean + 150)) found.push({ from, to });
    recent.push(to - from);
    if (recent.length > MEAN_OVER) recent.shift();
  }
  return found;
}

/**
 * The longest time without a new frame within `span`.
 * @param {Frame[]} frames
 * @param {Span} span
 */
export function longestGap(frames, { from, to }) {
  const times = [from, ...frames.map(({ at }) => at).filter((at) => at > from && at < to), to];
  return Math.max(...times.slice(1).map((at, index) => at - times[index]));
}

/**
 * When the first frame after `from` came that `is` one looked for; null when none did.
 * @param {Frame[]} frames
 * @param {number} from
 * @param {(frame: Frame) => boolean} [is]
 */
export function firstFrame(frames, from, is = () => true) {
  const frame = frames.find((one) => one.at >= from && is(one));
  return frame ? frame.at - from : null;
}

/**
 * From which time on every frame until `to` was one looked for, after `from`; null when the last one was not.
 * @param {Frame[]} frames
 * @param {Span} span
 * @param {(frame: Frame) => boolean} is
 */
export function settled(frames, { from, to }, is) {
  const within = frames.filter(({ at }) => at >= from && at <= to);
  const last = within.findLastIndex((frame) => !is(frame));
  return last === within.length - 1 ? null : within[last + 1].at - from;
}

/**
 * @template {{at: number}} T
 * @param {T[]} samples in order
 * @param {Span} span
 */
export function within(samples, { from, to }) {
  return samples.filter(({ at }) => at >= from && at <= to);
}

/**
 * By how much a counter grew within `span`.
 * @template {{at: number}} T
 * @param {T[]} samples
 * @param {Span} span
 * @param {(sample: T) => number} counter
 */
export function growth(samples, span, counter) {
  const inside = within(samples, span);
  return inside.length < 2 ? 0 : counter(inside[inside.length - 1]) - counter(inside[0]);
}

/**
 * By how much a counter grew from one time to another, between samples as if it grew evenly: where every count counts.
 * @template {{at: number}} T
 * @param {T[]} samples
 * @param {Span} span
 * @param {(sample: T) => number} counter
 */
export function growthBetween(samples, { from, to }, counter) {
  return reading(samples, to, counter) - reading(samples, from, counter);
}

/**
 * @template {{at: number}} T
 * @param {T[]} samples in order, at least one
 * @param {number} at
 * @param {(sample: T) => number} counter
 */
function reading(samples, at, counter) {
  const next = samples.findIndex((sample) => sample.at >= at);
  if (next <= 0) return counter(samples[next === 0 ? 0 : samples.length - 1]);
  const [before, after] = [samples[next - 1], samples[next]];
  return counter(before) + ((counter(after) - counter(before)) * (at - before.at)) / (after.at - before.at);
}

/**
 * The value that `share` of the weight does not exceed; 0 of nothing.
 * @param {{value: number, weight: number}[]} values
 * @param {number} share from 0 to 1
 */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a.value - b.value);
  let left = share * sorted.reduce((sum, { weight }) => sum + weight, 0);
  for (const { value, weight } of sorted) {
    left -= weight;
    if (left <= 0) return value;
  }
  return sorted[sorted.length - 1]?.value ?? 0;
}

/**
 * How long packets waited for the line, p95 within `span`.
 * @param {import('./stage.js').LineReport[]} reports
 * @param {Span} span
 */
export function queueP95(reports, span) {
  return quantile(within(reports, span).map(({ down }) => ({ value: down.queue_p95_ms, weight: down.packets })), 0.95);
}

/**
 * Bits per second that came out of the line down within `span`.
 * @param {import('./stage.js').LineReport[]} reports
 * @param {Span} span
 */
export function rateDown(reports, span) {
  const bytes = within(reports, span).reduce((sum, { down }) => sum + down.bytes_out, 0);
  return (bytes * 8000) / (span.to - span.from);
}

/**
 * Jain's index: 1 when all have the same, 1/n when one has all.
 * @param {number[]} shares
 */
export function fairness(shares) {
  const sum = shares.reduce((all, one) => all + one, 0);
  const squares = shares.reduce((all, one) => all + one * one, 0);
  return squares === 0 ? 0 : (sum * sum) / (shares.length * squares);
}
