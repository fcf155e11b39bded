import { correction, timeline } from './clock.js';

/**
 * @typedef {object} ManifestTrack
 * @property {string} id
 * @property {string} publication
 * @property {string} participant
 * @property {'audio' | 'video'} kind
 * @property {string | null} source
 * @property {string} file
 * @property {number} start_ms
 * @property {number} duration_ms
 * @property {[number, number][]} clock
 * @property {[number, number][]} gaps
 */

/** How long before its beginning a track is fetched. */
const AHEAD_MS = 15_000;

/** One recorded file and the media element that plays it on the master clock. */
export class Track {
  /**
   * @param {ManifestTrack} entry of the manifest
   * @param {string} url of the file
   */
  constructor(entry, url) {
    this.entry = entry;
    this.#url = url;
    this.#line = timeline(entry.clock.length > 0 ? entry.clock : [[0, entry.start_ms]]);
    this.element = document.createElement(entry.kind);
    this.element.preload = 'auto';
    this.element.dataset.track = entry.id;
    if (this.element instanceof HTMLVideoElement) {
      this.element.playsInline = true;
      this.element.muted = true;
      this.element.setAttribute('aria-hidden', 'true');
    }
    this.end = this.#line.toSession(entry.duration_ms);
  }

  /** Whether there is something to see or hear at this session time. @param {number} at */
  covers(at) {
    return at >= this.entry.start_ms && at < this.end && !this.entry.gaps.some(([from, to]) => at >= from && at < to);
  }

  /** How far the element is behind session time `at`, in milliseconds. @param {number} at */
  behind(at) {
    return this.#line.toMedia(at) - this.element.currentTime * 1000;
  }

  /**
   * Brings the element to where the clock is.
   * @param {import('./clock.js').MasterClock} clock
   * @param {(error: unknown) => void} refused the browser does not play without a tap
   */
  follow(clock, refused) {
    const at = clock.time;
    if (!this.#loaded && at > this.entry.start_ms - AHEAD_MS && at < this.end) {
      this.#loaded = true;
      this.element.src = this.#url;
    }
    if (!this.#loaded || this.element.readyState === 0) return;
    const inside = at >= this.entry.start_ms && at < this.end;
    if (!inside) {
      if (!this.element.paused) this.element.pause();
      return;
    }
    const wanted = Math.max(0, this.#line.toMedia(at) / 1000);
    const { seek, rate } = correction(this.behind(at), clock.rate);
    const still = !clock.playing && Math.abs(this.behind(at)) > 20;
    if ((seek || still) && !this.element.seeking) this.element.currentTime = wanted;
    if (this.element.playbackRate !== rate) this.element.playbackRate = rate;
    if (clock.playing && this.element.paused && !this.element.ended) void this.element.play().catch(refused);
    else if (!clock.playing && !this.element.paused) this.element.pause();
  }

  /** Whether the element has nothing to play right now although it should. @param {number} at */
  waits(at) {
    return this.covers(at) && this.#loaded && !this.element.error && this.element.readyState < 2;
  }

  #url;
  #line;
  #loaded = false;
}
