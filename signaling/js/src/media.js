/**
 * The one peer connection: what this participant sends, the slots it receives in, and the data channel.
 *
 * The client always offers and has one offer open at a time; whatever happens meanwhile goes into the next one.
 * A connection that cannot be mended is replaced by a fresh one that publishes the same tracks again.
 *
 * Events: `state` (`detail` is the new `MediaState`), `streams` (another picture stands in a slot, or for another role, or one pauses, or cannot be shown), `message`
 * (`detail` is a room message from the data channel), `channel` (`detail` is whether the data channel is open), `drained` (the data
 * channel takes messages again), `silence` (nothing comes any more where it came; `detail` is the last round trip in milliseconds), `problem` (`detail` is a `SimmerError`).
 */
import { AudioOutput } from './audio.js';
import { RoomChannel } from './channel.js';
import { receivable, sound } from './codecs.js';
import { SimmerError } from './errors.js';
import { OwnPublication } from './publication.js';
import { Sender } from './sender.js';
import { SilenceWatch } from './silence.js';
import { allow, DEPENDENCY, prefer } from './transceiver.js';

/**
 * @typedef {import('./messages.js').Source} Source
 * @typedef {'off' | 'connecting' | 'connected' | 'lost'} MediaState
 */

/** How long a connection may stay `disconnected` before it counts as lost, in milliseconds. */
const LOST_AFTER_MS = 1_000;
/** How long a lost one may take to come back before a fresh connection is made. */
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
   * @param {(publication: string, muted: boolean) => Promise<unknown>} needs.mute tells the room that one of one's own is muted or no more
   */
  constructor({ send, nextId, publish, redundantAudio, silenceMs, mute }) {
    super();
    this.#send = send;
    this.#nextId = nextId;
    this.#mayPublish = publish;
    this.#redundantAudio = redundantAudio;
    this.#silenceMs = silenceMs;
    this.#mute = mute;
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
   * Publishes a track, or sends another one in place of what this source sent before, as `OwnPublication.replace` does. Rejects with
   * `unsupported_codec` or `unsupported_layers` when this browser cannot send a video so; what is published stays then.
   * @param {Source} source
   * @param {MediaStreamTrack} track
   * @param {import('./codecs.js').PublishOptions} [options] for a video
   * @returns {Promise<OwnPublication>} the same object as long as this source is published
   */
  async publish(source, track, options = {}) {
    const known = this.#usual.get(source);
    const publication = known ?? this.#add(source, track, options);
    this.#usual.set(source, publication);
    if (known) await known.replace(track, options);
    return publication;
  }

  /**
   * Publishes a track beside whatever its source sends already: a second camera, say.
   * @param {Source} source
   * @param {MediaStreamTrack} track
   * @param {import('./codecs.js').PublishOptions} [options] for a video
   * @returns {Promise<OwnPublication>}
   */
  async publishAnother(source, track, options = {}) {
    return this.#add(source, track, options);
  }

  /**
   * Publishes no more what `publish` did of this source.
   * @param {Source} source
   */
  unpublish(source) {
    this.#usual.get(source)?.stop();
  }

  /**
   * Stops or goes on sending what `publish` published of a source, without ending its publication.
   * @param {Source} source
   * @param {boolean} sending
   */
  async setSending(source, sending) {
    await this.#usual.get(source)?.setSending(sending);
  }

  /**
   * The track that `publish` published of a source.
   * @param {Source} source
   */
  trackOf(source) {
    return this.#usual.get(source)?.track ?? null;
  }

  /**
   * Whether what `publish` published of a source is being sent, undefined when it is not published.
   * @param {Source} source
   */
  isSending(source) {
    return this.#usual.get(source)?.sending;
  }

  /** Everything this participant publishes, in the order it came. */
  get published() {
    return [...this.#own.values()];
  }

  /**
   * What this participant publishes under an id of the room, undefined when it is not theirs.
   * @param {string} publication
   */
  own(publication) {
    return this.published.find(({ id }) => id === publication);
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
    else if (message.type === 'encodings') this.#senderOn(message.mid)?.want(message.wanted);
    else if (message.type === 'media') this.#heard(message.state);
    else return false;
    return true;
  }

  /**
   * The room has one of this participant's own publications now.
   * @param {import('./messages.js').PublicationInfo} publication
   */
  named({ id, mid, muted }) {
    const sender = mid === undefined ? undefined : this.#senderOn(mid);
    if (!sender) return;
    sender.publication = id;
    if (muted) void sender.setSending(false);
    // A fresh connection publishes anew what was muted before.
    else if (!sender.sending) this.#mute(id, true).catch((error) => this.#problem(error));
  }

  /**
   * The room has it no more.
   * @param {string} publication
   */
  ended(publication) {
    for (const sender of this.#own.keys()) {
      if (sender.publication === publication) sender.publication = null;
    }
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

  /** The browser's own numbers: the transport, one entry per filled slot, and one per encoding sent, each with its `publication`. */
  async stats() {
    /** @type {{transport: Record<string, any> | null, slots: Record<string, any>[], sending: Record<string, any>[]}} */
    const result = { transport: null, slots: [], sending: [] };
    if (!this.#pc) return result;
    const report = await this.#pc.getStats();
    const publications = new Map(this.#fills.map(({ mid, publication }) => [mid, publication]));
    for (const { mid, publication } of this.#own.keys()) publications.set(mid ?? '', publication);
    for (const entry of report.values()) {
      if (entry.type === 'transport') result.transport = entry;
      else if (entry.type === 'inbound-rtp') {
        result.slots.push({ ...entry, publication: publications.get(entry.mid) ?? null });
      } else if (entry.type === 'outbound-rtp') {
        result.sending.push({ ...entry, publication: publications.get(entry.mid) ?? null });
      }
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
    for (const sender of this.#own.keys()) sender.connect(pc, this.#redundantAudio);
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
    for (const sender of this.#own.keys()) sender.forget();
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
   * @param {import('./codecs.js').PublishOptions} options
   */
  #add(source, track, options) {
    if (!this.#mayPublish) throw new SimmerError('not_allowed', 'You may watch and listen here, but not send.');
    const sender = new Sender(source, track, options);
    const publication = new OwnPublication(sender, {
      replace: (...how) => this.#replace(...how),
      stop: (one) => this.#stop(one),
      mute: this.#mute,
    });
    this.#own.set(sender, publication);
    this.#connect(sender);
    return publication;
  }

  /** @param {Sender} sender */
  #connect(sender) {
    if (!this.#pc) return;
    sender.connect(this.#pc, this.#redundantAudio);
    this.#negotiate();
  }

  /**
   * @param {Sender} sender
   * @param {MediaStreamTrack} track
   * @param {import('./codecs.js').PublishOptions} options
   */
  async #replace(sender, track, options) {
    const replaced = sender.replace(track, options);
    if (replaced) await replaced;
    else if (this.#own.has(sender)) this.#connect(sender);
  }

  /** @param {Sender} sender */
  #stop(sender) {
    const publication = this.#own.get(sender);
    this.#own.delete(sender);
    if (this.#usual.get(sender.source) === publication) this.#usual.delete(sender.source);
    if (sender.stop()) this.#negotiate();
  }

  /** @param {string} mid */
  #senderOn(mid) {
    return [...this.#own.keys()].find((sender) => sender.mid === mid);
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
      tracks: [...this.#own.keys()].flatMap(({ mid, source }) => (mid === null ? [] : [{ mid, source }])),
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
    else if (state === 'disconnected') {
      // Browsers say so after seconds only: another way is sought at once. An offer on a WebSocket that has died as well would wait for long.
      this.#askAfter(0);
      this.restartIce();
      this.#timer = setTimeout(() => this.#lose(), LOST_AFTER_MS);
    } else if (state === 'failed') this.#restart();
  }

  /**
   * Nothing comes any more, be it this client or the browser who notices: a reply would. Others may have a way to the server that is gone as well.
   * @param {number} roundTripMs
   */
  #askAfter(roundTripMs) {
    this.sendOnChannel({ type: 'ping' });
    this.dispatchEvent(new CustomEvent('silence', { detail: roundTripMs }));
  }

  #restart() {
    this.restartIce();
    this.#lose();
  }

  /** Without a way for so long there is a fresh connection soon. */
  #lose() {
    this.#set('lost');
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
  #mute;
  /** @type {SilenceWatch | undefined} */
  #watch;
  /** @type {RTCPeerConnection | null} */
  #pc = null;
  /** @type {RoomChannel | undefined} */
  #channel;
  /** How many slots of each kind there are. */
  #slots = { audio: 0, video: 0 };
  /** What is published, in the order it came. @type {Map<Sender, OwnPublication>} */
  #own = new Map();
  /** What `publish` published of each source. @type {Map<Source, OwnPublication>} */
  #usual = new Map();
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
