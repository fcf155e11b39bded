/**
 * What this participant looks at, computed from the elements that show it.
 *
 * Each element's size in device pixels, and whether it is on the screen at all, become one whole `view` message,
 * sent when it differs from the last one and at most every `EVERY_MS`.
 */

/** Least time between two views, in milliseconds. */
export const EVERY_MS = 150;
const LEAST_HEIGHT = 1;
const GREATEST_HEIGHT = 4320;

/**
 * What `ViewSender` needs to know of an element; any `<video>` will do.
 * @typedef {Element & {videoWidth?: number, videoHeight?: number}} Shown
 * @typedef {{width: number, height: number, visible: boolean}} Seen
 */

/**
 * The height a picture has to have to fill a box, both ways (`object-fit: cover`), in device pixels.
 * @param {{width: number, height: number}} box in CSS pixels
 * @param {{width: number, height: number} | null} picture its proportions, if known
 * @param {number} ratio device pixels per CSS pixel
 */
export function heightFor(box, picture, ratio) {
  const byWidth = picture && picture.width > 0 ? (box.width * picture.height) / picture.width : 0;
  const height = Math.ceil(Math.max(box.height, byWidth) * ratio);
  return Math.min(GREATEST_HEIGHT, Math.max(LEAST_HEIGHT, height));
}

/**
 * The view for what is shown where: most important, that is largest, first; each publication once.
 * @param {Iterable<{publication: string, height: number, visible: boolean}>} shown
 * @param {'all' | string[]} audio
 * @returns {import('./messages.js').View}
 */
export function viewOf(shown, audio) {
  /** @type {Map<string, number>} */
  const heights = new Map();
  for (const { publication, height, visible } of shown) {
    if (visible) heights.set(publication, Math.max(height, heights.get(publication) ?? 0));
  }
  const video = [...heights].map(([publication, max_height]) => ({ publication, max_height }));
  video.sort((a, b) => b.max_height - a.max_height);
  return { video, audio };
}

export class ViewSender {
  /** @param {(view: import('./messages.js').View) => boolean} send false when it could not be sent */
  constructor(send) {
    this.#send = send;
    if (typeof ResizeObserver === 'undefined') return;
    this.#resizes = new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) {
        const seen = this.#seen.get(target);
        if (seen) Object.assign(seen, { width: contentRect.width, height: contentRect.height });
      }
      this.#changed();
    });
    this.#sights = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const seen = this.#seen.get(target);
        if (seen) seen.visible = isIntersecting;
      }
      this.#changed();
    });
    document.addEventListener('visibilitychange', this.#changed);
  }

  /**
   * Shows a publication in an element, in place of what it showed before.
   * @param {string} publication
   * @param {Shown} element
   */
  show(publication, element) {
    const box = element.getBoundingClientRect();
    this.#shown.set(element, publication);
    if (!this.#seen.has(element)) {
      this.#seen.set(element, { width: box.width, height: box.height, visible: true });
      this.#resizes?.observe(element);
      this.#sights?.observe(element);
      element.addEventListener('resize', this.#changed);
    }
    this.#changed();
  }

  /**
   * Shows nothing in an element any more.
   * @param {Shown} element
   */
  hide(element) {
    this.#shown.delete(element);
    this.#seen.delete(element);
    this.#resizes?.unobserve(element);
    this.#sights?.unobserve(element);
    element.removeEventListener('resize', this.#changed);
    this.#changed();
  }

  /**
   * Which publications are heard: all of them, or these.
   * @param {'all' | string[]} publications
   */
  hear(publications) {
    this.#audio = publications;
    this.#changed();
  }

  /** Sends the view even if it is the one sent last: the server may have forgotten it. */
  again() {
    this.#sent = '';
    this.#changed();
  }

  close() {
    clearTimeout(this.#timer);
    this.#closed = true;
    this.#resizes?.disconnect();
    this.#sights?.disconnect();
    if (typeof document !== 'undefined') document.removeEventListener('visibilitychange', this.#changed);
  }

  #changed = () => {
    if (this.#closed || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#flush();
    }, EVERY_MS);
  };

  #flush() {
    const view = viewOf(this.#measured(), this.#audio);
    const text = JSON.stringify(view);
    if (text === this.#sent) return;
    if (this.#send(view)) this.#sent = text;
  }

  *#measured() {
    const ratio = globalThis.devicePixelRatio || 1;
    const onScreen = typeof document === 'undefined' || document.visibilityState === 'visible';
    for (const [element, publication] of this.#shown) {
      const seen = this.#seen.get(element);
      if (!seen) continue;
      const { videoWidth = 0, videoHeight = 0 } = element;
      const height = heightFor(seen, { width: videoWidth, height: videoHeight }, ratio);
      yield { publication, height, visible: onScreen && seen.visible && seen.height > 0 };
    }
  }

  #send;
  /** In the order they came. @type {Map<Shown, string>} */
  #shown = new Map();
  /** @type {Map<Element, Seen>} */
  #seen = new Map();
  /** @type {'all' | string[]} */
  #audio = 'all';
  #sent = '';
  #closed = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ResizeObserver | undefined} */
  #resizes;
  /** @type {IntersectionObserver | undefined} */
  #sights;
}
