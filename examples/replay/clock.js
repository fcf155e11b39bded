/**
 * One clock for many media elements.
 *
 * The master clock runs on the machine's monotonic clock. Each element is kept on it by small changes of its rate,
 * which nobody hears; only one that is far off is seeked.
 */

/** How much an element's rate may be bent to catch up. */
export const MOST_BEND = 0.05;
/** Beyond this an element is seeked, in milliseconds. */
export const SEEK_BEYOND_MS = 300;
/** Within this an element is left alone. */
export const GOOD_ENOUGH_MS = 12;
/** The time in which a bend aims to have caught up. */
const CATCH_UP_MS = 2_000;

/** Session time: plays, pauses, seeks, at a rate. Stops at the end. */
export class MasterClock {
  /**
   * @param {number} duration in milliseconds
   * @param {() => number} [now] a monotonic clock in milliseconds
   */
  constructor(duration, now = () => performance.now()) {
    this.duration = duration;
    this.#now = now;
  }

  playing = false;
  rate = 1;

  /** Session time now, in milliseconds. */
  get time() {
    if (!this.playing) return this.#base;
    return Math.min(this.duration, this.#base + (this.#now() - this.#since) * this.rate);
  }

  play() {
    if (this.playing) return;
    if (this.#base >= this.duration) this.#base = 0;
    this.#since = this.#now();
    this.playing = true;
  }

  pause() {
    this.#base = this.time;
    this.playing = false;
  }

  /** @param {number} ms */
  seek(ms) {
    this.#base = Math.max(0, Math.min(this.duration, ms));
    this.#since = this.#now();
  }

  /** @param {number} rate */
  setRate(rate) {
    this.#base = this.time;
    this.#since = this.#now();
    this.rate = rate;
  }

  #now;
  /** Session time at `#since`. */
  #base = 0;
  #since = 0;
}

/**
 * A line through knots `[media_ms, session_ms]`, both rising; straight on beyond the outer ones.
 * @param {[number, number][]} knots at least one
 */
export function timeline(knots) {
  return {
    /** Media time at a session time. @param {number} session */
    toMedia: (session) => along(knots, session, 1, 0),
    /** Session time at a media time. @param {number} media */
    toSession: (media) => along(knots, media, 0, 1),
  };
}

/**
 * @param {[number, number][]} knots
 * @param {number} at
 * @param {0 | 1} from
 * @param {0 | 1} to
 */
function along(knots, at, from, to) {
  if (knots.length === 1) return knots[0][to] + at - knots[0][from];
  let i = knots.findIndex((knot) => knot[from] > at);
  if (i < 0) i = knots.length - 1;
  if (i === 0) i = 1;
  const [a, b] = [knots[i - 1], knots[i]];
  const span = b[from] - a[from];
  return span > 0 ? a[to] + ((at - a[from]) * (b[to] - a[to])) / span : a[to];
}

/**
 * What to do with an element that is `behind` milliseconds behind the clock: seek it, or play it at this rate.
 * @param {number} behind negative when it is ahead
 * @param {number} rate the clock's
 * @returns {{seek: boolean, rate: number}}
 */
export function correction(behind, rate) {
  if (Math.abs(behind) > SEEK_BEYOND_MS) return { seek: true, rate };
  if (Math.abs(behind) <= GOOD_ENOUGH_MS) return { seek: false, rate };
  const bend = Math.max(-MOST_BEND, Math.min(MOST_BEND, behind / CATCH_UP_MS));
  return { seek: false, rate: rate * (1 + bend) };
}
