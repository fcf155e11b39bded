/**
 * One track on its way to the server: an m-line as long as there is a connection, and what stays the same over all of them.
 */
import { requireFormat, sendable, sound, USUAL } from './codecs.js';
import { encodingsFor } from './encodings.js';
import { screenEncodings } from './screen.js';
import { allow, prefer, REPAIRED_RID, RID } from './transceiver.js';

/** @typedef {import('./messages.js').Source} Source */

/** So many times its usual rate an encoding may take when it begins again, and for so long. */
const AT_FIRST = 3;
const AT_FIRST_MS = 150;

export class Sender {
  /**
   * Throws a `SimmerError` when this browser cannot send a video so.
   * @param {Source} source
   * @param {MediaStreamTrack} track
   * @param {import('./codecs.js').PublishOptions} options
   */
  constructor(source, track, options) {
    this.source = source;
    this.track = track;
    this.format = this.#formatFor(options);
  }

  /** Whether it is sent just now; what is not is still published. */
  sending = true;
  /** What the server calls it, null until it has said so. @type {string | null} */
  publication = null;

  /** Its m-line, null while there is none. */
  get mid() {
    return this.#transceiver?.mid ?? null;
  }

  /**
   * Sends over this connection from the next offer on.
   * @param {RTCPeerConnection} pc
   * @param {boolean} redundantAudio
   */
  connect(pc, redundantAudio) {
    const { track, source, format } = this;
    /** @type {RTCRtpTransceiverInit} */
    const init = { direction: 'sendonly', streams: [new MediaStream([track])] };
    if (source === 'screen') init.sendEncodings = screenEncodings();
    else if (track.kind === 'video') init.sendEncodings = encodingsFor(track.getSettings().height ?? 720, format);
    const transceiver = pc.addTransceiver(track, init);
    const codecs = RTCRtpSender.getCapabilities?.(track.kind)?.codecs ?? [];
    prefer(transceiver, track.kind === 'audio' ? sound(codecs, redundantAudio) : sendable(codecs, format.codec));
    if (init.sendEncodings?.[0]?.rid) allow(transceiver, [RID, REPAIRED_RID]);
    this.#transceiver = transceiver;
    this.#hurried = new Set();
    if (!this.sending) void transceiver.sender.replaceTrack(null);
  }

  /** The connection is gone, and all that the server knew of this with it. */
  forget() {
    this.#transceiver = null;
    this.publication = null;
  }

  /** Sends no more over this connection; whether it did. */
  stop() {
    const transceiver = this.#transceiver;
    transceiver?.stop();
    this.forget();
    return transceiver !== null;
  }

  /**
   * Another track in place of the one before, sent or not as that was.
   * @param {MediaStreamTrack} track
   * @param {import('./codecs.js').PublishOptions} options as before unless they say otherwise
   * @returns {Promise<void> | null} null when it has to be connected anew for that, and sends no more over this connection
   */
  replace(track, options) {
    const format = this.#formatFor(options);
    const same = format.codec === this.format.codec && format.layers === this.format.layers;
    this.track = track;
    this.format = format;
    track.enabled = this.sending;
    if (!same && this.stop()) return null;
    return this.#send();
  }

  /** @param {boolean} sending */
  setSending(sending) {
    this.sending = sending;
    this.track.enabled = sending;
    return this.#send();
  }

  /**
   * Sends only the encodings that somebody needs. One that begins again may take more than usual for a moment: an encoder counts its first key frame
   * against its rate, and at the usual one leaves four to eight pictures out after it.
   * @param {boolean[]} wanted in the order offered
   */
  want(wanted) {
    const sender = this.#transceiver?.sender;
    const hurried = this.#hurried;
    this.#change(sender, (encoding, index) => {
      const begins = encoding.active === false && (wanted[index] ?? true);
      encoding.active = wanted[index] ?? true;
      const usual = encoding.maxBitrate;
      if (!begins || usual === undefined || hurried.has(index)) return;
      hurried.add(index);
      encoding.maxBitrate = usual * AT_FIRST;
      const settle = () => this.#change(sender, (settled, at) => {
        if (at === index) settled.maxBitrate = usual;
      });
      setTimeout(() => hurried.delete(index) && settle(), AT_FIRST_MS);
    });
  }

  /**
   * Changes how the encodings are sent, one change after the other: parameters are good for one call only. What fails is worth no more than saved
   * bandwidth.
   * @param {RTCRtpSender | undefined} sender
   * @param {(encoding: RTCRtpEncodingParameters, index: number) => void} change
   */
  #change(sender, change) {
    const set = async () => {
      const parameters = sender?.getParameters();
      parameters?.encodings.forEach(change);
      if (parameters) await sender?.setParameters(parameters);
    };
    this.#changes = this.#changes.then(set).catch(() => {});
  }

  async #send() {
    await this.#transceiver?.sender.replaceTrack(this.sending ? this.track : null);
  }

  /** @param {import('./codecs.js').PublishOptions} options */
  #formatFor({ codec = this.format.codec, layers = this.format.layers }) {
    const format = { codec, layers };
    if (codec !== this.format.codec || layers !== this.format.layers) requireFormat(format);
    return format;
  }

  /** How a video is encoded. @type {import('./codecs.js').VideoFormat} */
  format = USUAL;
  /** @type {RTCRtpTransceiver | null} */
  #transceiver = null;
  /** Those of this connection's encodings that take more than usual just now. @type {Set<number>} */
  #hurried = new Set();
  /** The last change of parameters. @type {Promise<void>} */
  #changes = Promise.resolve();
}
