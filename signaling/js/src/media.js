/**
 * The one peer connection: what this participant sends, the slots it receives in, and the data channel.
 *
 * The client always offers and has one offer open at a time; whatever happens meanwhile goes into the next one.
 * A connection that cannot be mended is replaced by a fresh one that publishes the same tracks again.
 *
 * Events: `state` (`detail` is the new `MediaState`), `streams` (another picture stands in a slot, or for another role, or one pauses, or cannot be shown), `message`
 * (`detail` is a room message from the data channel), `channel` (`detail` is whether the data channel is open), `drained` (the data
 * channel takes messages again), `silence` (nothing comes any more where much came; `detail` is the last round trip in milliseconds), `problem` (`detail` is a `SimmerError`).
 */
import { AudioOutput } from './audio.js';
import { RoomChannel } from './channel.js';
import { receivable, requireFormat, sendable, sound, USUAL } from './codecs.js';
import { encodingsFor } from './encodings.js';
import { SimmerError } from './errors.js';
import { screenEncodings } from './screen.js';
import { SilenceWatch } from './silence.js';

/**
 * @typedef {import('./messages.js').Source} Source
 * @typedef {'off' | 'connecting' | 'connected' | 'lost'} MediaState
 * @typedef {{track: MediaStreamTrack, sending: boolean, format: import('./codecs.js').VideoFormat}} Sending what is published, whether it is
 *   sent just now, and how
 */

/** How long a connection may stay `disconnected` before ICE is restarted, in milliseconds. */
const RESTART_AFTER_MS = 1_000;
/** How long a restart may take before a fresh connection is made. */
const FRESH_AFTER_MS = 6_000;
const MOST_SLOTS = 64;

export class Media extends EventTarget {
  /**
   * @param {object} needs
   * @param {(message: object) => boolean} needs.send sends on the WebSocket; false when it is not open
   * @param {() => number} needs.nextId
   * @param {boolean} needs.publish whether the token allows it
   * @param {boolean} needs.redundantAudio whether each packet of sound carries the one before it once more
   * @param {number} needs.silenceMs how long what flowed may be silent before another way to the server is sought; 0 for ever
   */
  constructor({ send, nextId, publish, redundantAudio, silenceMs }) {
    super();
    this.#send = send;
    this.#nextId = nextId;
    this.#mayPublish = publish;
    this.#redundantAudio = redundantAudio;
    this.#silenceMs = silenceMs;
  }

  /** @type {MediaState} */
  state = 'off';
  /** Plays what is received in the audio slots. */
  audio = new AudioOutput();

  /** The peer connection as it is now, null while media is off. */
  get connection() {
    return this.#pc;
  }

  /** Whether room messages can be sent on the data channel. */
  get channelOpen() {
    return this.#channel?.open === true;
  }

  /**
   * Connects with this many slots; what is published before goes into the first offer.
   * @param {{audio: number, video: number}} slots
   */
  start(slots) {
    this.#slots = { audio: Math.min(slots.audio, MOST_SLOTS), video: Math.min(slots.video, MOST_SLOTS) };
    globalThis.addEventListener?.('online', this.#onOnline);
    this.#begin();
  }

  /**
   * Publishes a track, or sends another one in place of what this source sent before: as that was, unless `options` say otherwise, which makes it
   * another publication. Rejects with `unsupported_codec` or `unsupported_layers` when this browser cannot send a video so; what is published stays then.
   * @param {Source} source
   * @param {MediaStreamTrack} track
   * @param {import('./codecs.js').PublishOptions} [options] for a video
   */
  async publish(source, track, options = {}) {
    if (!this.#mayPublish) throw new SimmerError('not_allowed', 'You may watch and listen here, but not send.');
    const before = this.#sending.get(source)?.format ?? USUAL;
    const format = { codec: options.codec ?? before.codec, layers: options.layers ?? before.layers };
    if (format.codec !== before.codec || format.layers !== before.layers) {
      requireFormat(format);
      this.#stopSender(source);
    }
    this.#sending.set(source, { track, sending: true, format });
    const transceiver = this.#senders.get(source);
    if (transceiver) await transceiver.sender.replaceTrack(track);
    else if (this.#pc) {
      this.#addSender(source, track, format);
      this.#negotiate();
    }
  }

  /**
   * Publishes nothing from this source any more.
   * @param {Source} source
   */
  unpublish(source) {
    this.#sending.delete(source);
    if (this.#stopSender(source)) this.#negotiate();
  }

  /**
   * Stops or goes on sending from a source, without ending its publication.
   * @param {Source} source
   * @param {boolean} sending
   */
  async setSending(source, sending) {
    const own = this.#sending.get(source);
    if (!own) return;
    own.sending = sending;
    own.track.enabled = sending;
    await this.#senders.get(source)?.sender.replaceTrack(sending ? own.track : null);
  }

  /**
   * The track a source publishes.
   * @param {Source} source
   */
  trackOf(source) {
    return this.#sending.get(source)?.track ?? null;
  }

  /**
   * Whether a source is being sent, undefined when it is not published.
   * @param {Source} source
   */
  isSending(source) {
    return this.#sending.get(source)?.sending;
  }

  /**
   * The stream a publication is received in, null while no slot shows it. The same object as long as it is shown.
   * @param {string} publication
   */
  streamOf(publication) {
    return this.#streams.get(publication) ?? null;
  }

  /**
   * The publication that is received for a role, null while there is none.
   * @param {import('./messages.js').Role} role
   * @param {number} rank which of those that have it: 0 for the first
   */
  publicationFor(role, rank) {
    return this.#fills.find((fill) => fill.role === role && (fill.rank ?? 0) === rank)?.publication ?? null;
  }

  /**
   * Whether a publication stands in a slot but is not sent, because the line has no room for it now.
   * @param {string} publication
   */
  isPaused(publication) {
    return this.#fills.some((fill) => fill.publication === publication && fill.paused === true);
  }

  /**
   * Why a publication is not received although it is wanted: `unsupported_codec` when this browser does not decode it. Null while there is nothing of the kind.
   * @param {string} publication
   */
  failureOf(publication) {
    return this.#fills.find(({ failed }) => failed?.publication === publication)?.failed?.reason ?? null;
  }

  /**
   * Sends a room message on the data channel; false when it is not open or full (`drained` follows).
   * @param {object} message
   */
  sendOnChannel(message) {
    return this.#channel?.send(message) === true;
  }

  /**
   * Takes a message that concerns media; false when it is none of its business.
   * @param {{type: string} & Record<string, any>} message
   */
  take(message) {
    if (message.type === 'answer') void this.#answered(message.re, message.sdp);
    else if (message.type === 'error' && message.re !== undefined && message.re === this.#open?.id) this.#refused(message);
    else if (message.type === 'slots') this.#fill(message.slots);
    else if (message.type === 'slots_wanted') this.#grow(message.audio, message.video);
    else if (message.type === 'encodings') this.#want(message.mid, message.wanted);
    else if (message.type === 'media') this.#heard(message.state);
    else return false;
    return true;
  }

  /**
   * The session goes on over a new WebSocket; when `resumed` is false the server knows nothing of this connection.
   * @param {boolean} resumed
   */
  reconnected(resumed) {
    if (!this.#pc) return;
    if (!resumed) this.#begin();
    else if (this.#open) {
      this.#open.id = this.#nextId();
      this.#send(this.#open);
    } else if (this.#again) this.#negotiate();
    else if (this.#pc.connectionState === 'failed') this.#restart();
  }

  /**
   * Looks for a way to the server anew, over the connection there is: pictures and sound go on meanwhile. The client does so by itself when the
   * connection stays interrupted, when what flowed falls silent, and when the browser says that it is online again.
   */
  restartIce() {
    if (!this.#pc) return;
    this.#iceRestart = true;
    this.#negotiate();
  }

  /** The browser's own numbers: the transport, one entry per filled slot, and one per encoding sent. */
  async stats() {
    /** @type {{transport: Record<string, any> | null, slots: Record<string, any>[], sending: Record<string, any>[]}} */
    const result = { transport: null, slots: [], sending: [] };
    if (!this.#pc) return result;
    const report = await this.#pc.getStats();
    const publications = new Map(this.#fills.map(({ mid, publication }) => [mid, publication]));
    for (const entry of report.values()) {
      if (entry.type === 'transport') result.transport = entry;
      else if (entry.type === 'inbound-rtp') {
        result.slots.push({ ...entry, publication: publications.get(entry.mid) ?? null });
      } else if (entry.type === 'outbound-rtp') result.sending.push(entry);
    }
    return result;
  }

  /** Ends the connection; the tracks stay the page's. */
  stop() {
    globalThis.removeEventListener?.('online', this.#onOnline);
    this.#end();
    this.#set('off');
  }

  #begin() {
    this.#end();
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.#pc = pc;
    this.#fresh = true;
    this.#set('connecting');
    pc.onconnectionstatechange = () => this.#transportChanged(pc.connectionState);
    if (this.#silenceMs > 0) {
      this.#watch = new SilenceWatch(pc, {
        patienceMs: this.#silenceMs,
        ask: (roundTripMs) => this.#askAfter(roundTripMs),
        restart: () => this.restartIce(),
      });
    }
    this.#openChannel(pc.createDataChannel('room', { ordered: true }));
    for (let i = 0; i < this.#slots.audio; i += 1) this.#addSlot('audio');
    for (let i = 0; i < this.#slots.video; i += 1) this.#addSlot('video');
    // After the slots, which stay: when the first m-line of a bundle is stopped, Chromium closes the connection with it.
    for (const [source, { track, format, sending }] of this.#sending) this.#addSender(source, track, format, sending);
    this.#negotiate();
  }

  #end() {
    clearTimeout(this.#timer);
    this.#watch?.stop();
    this.audio.clear();
    const pc = this.#pc;
    this.#pc = null;
    if (pc) {
      pc.onconnectionstatechange = null;
      this.#channel?.forget();
      pc.close();
    }
    this.#channel = undefined;
    this.#open = null;
    this.#again = false;
    this.#senders.clear();
    this.#received.length = 0;
    this.#fill([]);
  }

  /** @param {RTCDataChannel} channel */
  #openChannel(channel) {
    const tell = (/** @type {string} */ type, /** @type {unknown} */ detail) => {
      this.dispatchEvent(new CustomEvent(type, { detail }));
    };
    this.#channel = new RoomChannel(channel, {
      opened: (open) => tell('channel', open),
      message: (message) => tell('message', message),
      drained: () => tell('drained', null),
    });
  }

  /**
   * @param {Source} source
   * @param {MediaStreamTrack} track
   * @param {import('./codecs.js').VideoFormat} format
   * @param {boolean} [sending]
   */
  #addSender(source, track, format, sending = true) {
    if (!this.#pc) return;
    const height = track.getSettings().height ?? 720;
    /** @type {RTCRtpTransceiverInit} */
    const init = { direction: 'sendonly', streams: [new MediaStream([track])] };
    if (source === 'screen') init.sendEncodings = screenEncodings();
    else if (track.kind === 'video') init.sendEncodings = encodingsFor(height, format);
    const transceiver = this.#pc.addTransceiver(track, init);
    const codecs = RTCRtpSender.getCapabilities?.(track.kind)?.codecs ?? [];
    prefer(transceiver, track.kind === 'audio' ? sound(codecs, this.#redundantAudio) : sendable(codecs, format.codec));
    if (init.sendEncodings?.[0]?.rid) allow(transceiver, [RID, REPAIRED_RID]);
    this.#senders.set(source, transceiver);
    if (!sending) void transceiver.sender.replaceTrack(null);
  }

  /**
   * @param {Source} source
   * @returns {boolean} whether there was one
   */
  #stopSender(source) {
    this.#senders.get(source)?.stop();
    return this.#senders.delete(source);
  }

  /** @param {'audio' | 'video'} kind */
  #addSlot(kind) {
    if (!this.#pc) return;
    const transceiver = this.#pc.addTransceiver(kind, { direction: 'recvonly' });
    const codecs = RTCRtpReceiver.getCapabilities?.(kind)?.codecs ?? [];
    prefer(transceiver, kind === 'audio' ? sound(codecs, this.#redundantAudio) : receivable(codecs));
    if (kind === 'video') allow(transceiver, [DEPENDENCY]);
    this.#received.push(transceiver);
  }

  /**
   * @param {number} audio
   * @param {number} video
   */
  #grow(audio, video) {
    const wanted = { audio: Math.min(audio, MOST_SLOTS), video: Math.min(video, MOST_SLOTS) };
    const missing = { audio: wanted.audio - this.#slots.audio, video: wanted.video - this.#slots.video };
    if (!this.#pc || (missing.audio <= 0 && missing.video <= 0)) return;
    for (let i = 0; i < missing.audio; i += 1) this.#addSlot('audio');
    for (let i = 0; i < missing.video; i += 1) this.#addSlot('video');
    this.#slots.audio += Math.max(0, missing.audio);
    this.#slots.video += Math.max(0, missing.video);
    this.#negotiate();
  }

  /**
   * Sends only the encodings that somebody needs.
   * @param {string} mid
   * @param {boolean[]} wanted in the order offered
   */
  #want(mid, wanted) {
    const transceiver = [...this.#senders.values()].find((sender) => sender.mid === mid);
    if (!transceiver) return;
    const { sender } = transceiver;
    const set = async () => {
      const parameters = sender.getParameters();
      parameters.encodings.forEach((encoding, index) => {
        encoding.active = wanted[index] ?? true;
      });
      await sender.setParameters(parameters);
    };
    // One at a time: parameters are good for one call only. What fails is worth no more than saved bandwidth.
    const turn = (this.#wanting.get(sender) ?? Promise.resolve()).then(set).catch(() => {});
    this.#wanting.set(sender, turn);
  }

  /** Offers what there is now, as soon as no other offer is open. */
  #negotiate() {
    this.#again = true;
    if (!this.#open && !this.#offering) void this.#offer();
  }

  async #offer() {
    const pc = this.#pc;
    if (!pc) return;
    this.#offering = true;
    this.#again = false;
    try {
      const options = this.#iceRestart ? { iceRestart: true } : {};
      this.#iceRestart = false;
      await pc.setLocalDescription(await pc.createOffer(options));
    } catch (error) {
      this.#offering = false;
      if (pc === this.#pc) this.#problem(new SimmerError('internal', 'This browser could not make an offer.', { cause: error }));
      else if (this.#pc && this.#again) void this.#offer();
      return;
    }
    this.#offering = false;
    if (pc !== this.#pc) {
      if (this.#pc && this.#again) void this.#offer();
      return;
    }
    this.#open = {
      type: 'offer',
      id: this.#nextId(),
      sdp: pc.localDescription?.sdp ?? '',
      tracks: [...this.#senders].flatMap(([source, { mid }]) => (mid === null ? [] : [{ mid, source }])),
      fresh: this.#fresh,
    };
    // Not sent while the WebSocket is down: `reconnected` sends it.
    this.#send(this.#open);
  }

  /**
   * @param {number} re
   * @param {string} sdp
   */
  async #answered(re, sdp) {
    const pc = this.#pc;
    if (!pc || !this.#open || re !== this.#open.id) return;
    try {
      await pc.setRemoteDescription({ type: 'answer', sdp });
    } catch (error) {
      if (pc === this.#pc) this.#problem(new SimmerError('internal', 'This browser did not take the answer.', { cause: error }));
    }
    if (pc !== this.#pc) return;
    this.#open = null;
    this.#fresh = false;
    for (const transceiver of this.#received) {
      if (transceiver.receiver.track.kind === 'audio' && transceiver.mid !== null) {
        this.audio.add(transceiver.mid, transceiver.receiver.track);
      }
    }
    this.#fill(this.#fills);
    if (this.#again) void this.#offer();
  }

  /** @param {Record<string, any>} message */
  #refused(message) {
    const error = SimmerError.fromServer({ code: 'internal', message: 'Refused.', ...message });
    const offer = this.#open;
    if (error.code === 'rate_limited' && offer) {
      this.#timer = setTimeout(() => {
        if (this.#open !== offer) return;
        offer.id = this.#nextId();
        this.#send(offer);
      }, error.retryMs ?? 1_000);
      return;
    }
    this.#open = null;
    void this.#pc?.setLocalDescription({ type: 'rollback' }).catch(() => {});
    this.#problem(error);
  }

  /** @param {import('./messages.js').SlotFill[]} fills */
  #fill(fills) {
    const rest = (/** @type {import('./messages.js').SlotFill[]} */ of) =>
      JSON.stringify(of.map(({ mid, role, rank, paused, failed }) => [mid, role, rank, paused, failed]));
    let changed = rest(fills) !== rest(this.#fills);
    const failing = fills.flatMap(({ failed }) => (failed && this.failureOf(failed.publication) === null ? [failed] : []));
    this.#fills = fills;
    const tracks = new Map(this.#received.map((t) => [t.mid, t.receiver.track]));
    const filled = new Set();
    for (const { mid, publication } of fills) {
      const track = tracks.get(mid);
      if (publication === null || !track) continue;
      filled.add(publication);
      const stream = this.#streams.get(publication) ?? new MediaStream();
      if (stream.getTracks()[0] === track) continue;
      for (const old of stream.getTracks()) stream.removeTrack(old);
      stream.addTrack(track);
      this.#streams.set(publication, stream);
      changed = true;
    }
    for (const publication of this.#streams.keys()) {
      if (!filled.has(publication)) changed = this.#streams.delete(publication) || changed;
    }
    if (changed) this.dispatchEvent(new CustomEvent('streams'));
    for (const { reason } of failing) this.#problem(new SimmerError(reason, 'This browser cannot show one of the pictures: it has no decoder for it.'));
  }

  /** @param {'connected' | 'lost'} state as the server sees it */
  #heard(state) {
    if (state === 'lost' && this.#pc && !this.#open?.fresh) this.#begin();
  }

  #onOnline = () => this.restartIce();

  /** @param {RTCPeerConnectionState} state */
  #transportChanged(state) {
    clearTimeout(this.#timer);
    if (state === 'connected') this.#set('connected');
    else if (state === 'disconnected') this.#timer = setTimeout(() => this.#restart(), RESTART_AFTER_MS);
    else if (state === 'failed') this.#restart();
  }

  /**
   * Nothing comes any more: a reply would. Others may have a way to the server that is gone as well.
   * @param {number} roundTripMs
   */
  #askAfter(roundTripMs) {
    this.sendOnChannel({ type: 'ping' });
    this.dispatchEvent(new CustomEvent('silence', { detail: roundTripMs }));
  }

  /** Restarts ICE, and if that does not help makes a fresh connection. */
  #restart() {
    this.#set('lost');
    this.restartIce();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#begin(), FRESH_AFTER_MS);
  }

  /** @param {MediaState} state */
  #set(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: state }));
  }

  /** @param {SimmerError} error */
  #problem(error) {
    this.dispatchEvent(new CustomEvent('problem', { detail: error }));
  }

  #send;
  #nextId;
  #mayPublish;
  #redundantAudio;
  #silenceMs;
  /** @type {SilenceWatch | undefined} */
  #watch;
  /** @type {RTCPeerConnection | null} */
  #pc = null;
  /** @type {RoomChannel | undefined} */
  #channel;
  /** How many slots of each kind there are. */
  #slots = { audio: 0, video: 0 };
  /** @type {Map<Source, Sending>} */
  #sending = new Map();
  /** @type {Map<Source, RTCRtpTransceiver>} */
  #senders = new Map();
  /** The last change of parameters of each sender. @type {WeakMap<RTCRtpSender, Promise<void>>} */
  #wanting = new WeakMap();
  /** The slots, in the order of the offer. @type {RTCRtpTransceiver[]} */
  #received = [];
  /** @type {import('./messages.js').SlotFill[]} */
  #fills = [];
  /** @type {Map<string, MediaStream>} */
  #streams = new Map();
  /** The offer that has no answer yet. @type {{id: number, fresh: boolean, [field: string]: unknown} | null} */
  #open = null;
  /** Whether an offer is being made. */
  #offering = false;
  /** Whether something has changed since the open offer was made. */
  #again = false;
  /** Whether the server is to forget what came before this connection. */
  #fresh = true;
  #iceRestart = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
}

const RID = 'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id';
const REPAIRED_RID = 'urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id';
const DEPENDENCY = 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension';

/**
 * Offers header extensions that the browser would not by itself. Chromium gives a new transceiver what was agreed on for those before it: without this,
 * simulcast could not begin beside slots, which have no use for rids.
 * @param {RTCRtpTransceiver} transceiver
 * @param {string[]} uris
 */
function allow(transceiver, uris) {
  const own = /** @type {RTCRtpTransceiver & Partial<HeaderExtensionControl>} */ (transceiver);
  const extensions = own.getHeaderExtensionsToNegotiate?.() ?? [];
  for (const extension of extensions) {
    if (uris.includes(extension.uri)) extension.direction = 'sendrecv';
  }
  if (extensions.length > 0) own.setHeaderExtensionsToNegotiate?.(extensions);
}

/**
 * RTP Header Extension Control (W3C), which TypeScript does not know.
 * @typedef {{uri: string, direction: RTCRtpTransceiverDirection}} HeaderExtension
 * @typedef {object} HeaderExtensionControl
 * @property {() => HeaderExtension[]} getHeaderExtensionsToNegotiate
 * @property {(extensions: HeaderExtension[]) => void} setHeaderExtensionsToNegotiate
 */

/**
 * A narrow offer is a small one.
 * @param {RTCRtpTransceiver} transceiver
 * @param {RTCRtpCodec[]} codecs
 */
function prefer(transceiver, codecs) {
  if (codecs.length > 0) transceiver.setCodecPreferences?.(codecs);
}
