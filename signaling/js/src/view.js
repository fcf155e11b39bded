/**
 * What this participant looks at, computed from the elements that show it.
 *
 * Each element's size in device pixels, and whether it is on the screen at all, become one whole `view` message,
 * sent when it differs from the last one: at once, and at most every `EVERY_MS`.
 */

/** Least time between two views, in milliseconds. */
export const EVERY_MS = 150;
const LEAST_HEIGHT = 1;
const GREATEST_HEIGHT = 4320;
const GREATEST_PRIORITY = 10;

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
 * One picture to be shown: of a publication, or of whatever has a role just now.
 * @typedef {{publication: string, role?: undefined} | {role: Role, publication?: undefined}} Wanted
 * @typedef {import('./messages.js').Role} Role
 * @typedef {{maxFps?: number, priority?: number}} ShowOptions `maxFps`: how many pictures a second are enough; `priority`: 0 to 10, where the
 *   connection is narrow a higher one is served first
 * @typedef {Wanted & ShowOptions & {height: number, visible: boolean}} Seeing
 */

/**
 * The view for what is shown where: most important, that is largest, first; each publication once. The first that is seen of a role gets the first
 * that has it.
 * @param {Iterable<Seeing>} shown
 * @param {'all' | string[]} audio
 * @param {string | null} [spotlight] a publication to be as sharp as it can be, before all others
 * @returns {import('./messages.js').View}
 */
export function viewOf(shown, audio, spotlight = null) {
  /** @type {Map<string, import('./messages.js').VideoWish>} */
  const named = new Map();
  /** @type {import('./messages.js').VideoWish[]} */
  const roles = [];
  for (const seeing of shown) {
    if (!seeing.visible) continue;
    const wish = wishFor(seeing);
    if (seeing.publication === undefined) roles.push(wish);
    else named.set(seeing.publication, together(wish, named.get(seeing.publication)));
  }
  if (spotlight !== null) named.set(spotlight, { publication: spotlight, max_height: GREATEST_HEIGHT, priority: GREATEST_PRIORITY });
  const video = [...named.values(), ...roles];
  video.sort((a, b) => b.max_height - a.max_height);
  // By size alone the second of a role could come before the first.
  for (const role of new Set(roles.map((wish) => wish.role))) {
    const inOrder = roles.filter((wish) => wish.role === role);
    video.forEach((wish, index) => {
      if (wish.role === role) video[index] = /** @type {import('./messages.js').VideoWish} */ (inOrder.shift());
    });
  }
  return { video, audio };
}

/** @param {Seeing} seeing */
function wishFor({ publication, role, height, maxFps, priority }) {
  return {
    ...(publication === undefined ? { role } : { publication }),
    max_height: height,
    ...(maxFps === undefined ? {} : { max_fps: maxFps }),
    ...(priority === undefined ? {} : { priority }),
  };
}

/**
 * One wish for two places of the same publication: whatever is more.
 * @param {import('./messages.js').VideoWish} wish
 * @param {import('./messages.js').VideoWish | undefined} other
 */
function together(wish, other) {
  if (!other) return wish;
  const { max_fps: _, priority: __, ...both } = wish;
  both.max_height = Math.max(wish.max_height, other.max_height);
  if (wish.max_fps !== undefined && other.max_fps !== undefined) Object.assign(both, { max_fps: Math.max(wish.max_fps, other.max_fps) });
  const priorities = [wish, other].flatMap(({ priority }) => priority ?? []);
  if (priorities.length > 0) Object.assign(both, { priority: Math.max(...priorities) });
  return both;
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
   * Shows a publication, or who has a role, in an element, in place of what it showed before.
   * @param {Wanted & ShowOptions} wanted
   * @param {Shown} element
   */
  show(wanted, element) {
    const box = element.getBoundingClientRect();
    this.#shown.set(element, wanted);
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
   * Which of those that have its role an element shows, from 0 for the first; undefined for an element that shows no role, or is not seen.
   * @param {Shown} element
   */
  rankOf(element) {
    return this.#ranks.get(element);
  }

  /**
   * Asks for a publication as sharp as it can be, before all others, whether an element shows it or not; null for none.
   * @param {string | null} publication
   */
  spotlight(publication) {
    this.#spotlight = publication;
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
    if (this.#closed) return;
    this.#due = true;
    // What changes together is sent together.
    this.#timer ??= setTimeout(this.#turn, 0);
  };

  #turn = () => {
    this.#timer = undefined;
    if (!this.#due) return;
    this.#due = false;
    this.#flush();
    this.#timer = setTimeout(this.#turn, EVERY_MS);
  };

  #flush() {
    const measured = [...this.#measured()];
    const view = viewOf(measured.map(([, seeing]) => seeing), this.#audio, this.#spotlight);
    const seen = measured.filter(([, { visible }]) => visible);
    this.#ranks = new Map(seen.flatMap(([element, { role }], index) => (role === undefined ? []
      : [[element, seen.slice(0, index).filter(([, before]) => before.role === role).length]])));
    const text = JSON.stringify(view);
    if (text === this.#sent) return;
    if (this.#send(view)) this.#sent = text;
  }

  *#measured() {
    const ratio = globalThis.devicePixelRatio || 1;
    const onScreen = typeof document === 'undefined' || document.visibilityState === 'visible';
    for (const [element, wanted] of this.#shown) {
      const seen = this.#seen.get(element);
      if (!seen) continue;
      const { videoWidth = 0, videoHeight = 0 } = element;
      const height = heightFor(seen, { width: videoWidth, height: videoHeight }, ratio);
      yield /** @type {[Shown, Seeing]} */ ([element, { ...wanted, height, visible: onScreen && seen.visible && seen.height > 0 }]);
    }
  }

  #send;
  /** In the order they came. @type {Map<Shown, Wanted & ShowOptions>} */
  #shown = new Map();
  /** @type {Map<Shown, number>} */
  #ranks = new Map();
  /** @type {string | null} */
  #spotlight = null;
  /** @type {Map<Element, Seen>} */
  #seen = new Map();
  /** @type {'all' | string[]} */
  #audio = 'all';
  #sent = '';
  #closed = false;
  /** Something changed since the view was looked at last. */
  #due = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ResizeObserver | undefined} */
  #resizes;
  /** @type {IntersectionObserver | undefined} */
  #sights;
}
