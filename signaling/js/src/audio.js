/**
 * Plays every audio slot, and says when the browser wants a tap first.
 *
 * Events: `blocked`, whenever `blocked` changes.
 */
export class AudioOutput extends EventTarget {
  /** Whether the browser refuses to play until somebody taps; then call `unblock` from the tap. */
  blocked = false;

  /**
   * Plays a track until `remove`.
   * @param {string} slot
   * @param {MediaStreamTrack} track
   */
  add(slot, track) {
    if (this.#elements.has(slot) || typeof Audio === 'undefined') return;
    const element = new Audio();
    element.srcObject = new MediaStream([track]);
    this.#elements.set(slot, element);
    void this.#play(element);
  }

  /** Plays everything; to be called while handling a tap or a key. */
  async unblock() {
    this.#set(false);
    await Promise.all([...this.#elements.values()].map((element) => this.#play(element)));
  }

  /** Stops and forgets everything. */
  clear() {
    for (const element of this.#elements.values()) {
      element.pause();
      element.srcObject = null;
    }
    this.#elements.clear();
  }

  /** @param {HTMLAudioElement} element */
  async #play(element) {
    try {
      await element.play();
    } catch (error) {
      if (error instanceof DOMException && error.name === 'NotAllowedError') this.#set(true);
    }
  }

  /** @param {boolean} blocked */
  #set(blocked) {
    if (blocked === this.blocked) return;
    this.blocked = blocked;
    this.dispatchEvent(new Event('blocked'));
  }

  /** @type {Map<string, HTMLAudioElement>} */
  #elements = new Map();
}
