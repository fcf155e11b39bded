/**
 * What this participant publishes, to be held on to: muted, replaced and stopped without touching anything else, be it of the same source.
 * It stays the same object over reconnects.
 */

/** @typedef {import('./sender.js').Sender} Sender */

export class OwnPublication {
  /**
   * @param {Sender} sender
   * @param {object} needs
   * @param {(sender: Sender, track: MediaStreamTrack, options: import('./codecs.js').PublishOptions) => Promise<void>} needs.replace
   * @param {(sender: Sender) => void} needs.stop
   * @param {(publication: string, muted: boolean) => Promise<unknown>} needs.mute tells the room
   */
  constructor(sender, needs) {
    this.#sender = sender;
    this.#needs = needs;
  }

  /** Its id in the room, null until the server has said so, and while there is no connection. */
  get id() {
    return this.#sender.publication;
  }

  get source() {
    return this.#sender.source;
  }

  get track() {
    return this.#sender.track;
  }

  /** Whether it is sent just now; what is not is still published. */
  get sending() {
    return this.#sender.sending;
  }

  /**
   * Mutes or unmutes it, for oneself at once; resolves when the room knows. What the room does not know yet is told with the publication.
   * @param {boolean} muted
   */
  async mute(muted) {
    await this.setSending(!muted);
    if (this.id !== null) await this.#needs.mute(this.id, muted);
  }

  /**
   * Stops or goes on sending, without a word to the room.
   * @param {boolean} sending
   */
  setSending(sending) {
    return this.#sender.setSending(sending);
  }

  /**
   * Sends another track in place of the one before: as that was, unless `options` say otherwise, which makes it another publication. What is muted
   * stays so. Rejects with `unsupported_codec` or `unsupported_layers` when this browser cannot send a video so; all stays as it was then.
   * @param {MediaStreamTrack} track
   * @param {import('./codecs.js').PublishOptions} [options] for a video
   */
  replace(track, options = {}) {
    return this.#needs.replace(this.#sender, track, options);
  }

  /** Publishes it no more; the track stays the page's. For good: another `publish` makes another. */
  stop() {
    this.#needs.stop(this.#sender);
  }

  #sender;
  #needs;
}
