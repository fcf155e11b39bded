/**
 * The browser's end of the Simmer protocol.
 *
 * ```js
 * import { join, capture } from '/client/client.js';
 *
 * const room = await join({ url: 'https://simmer.example', token, name: 'Ana' });
 * const { camera, microphone } = await capture({});
 * if (camera) await room.media.publish('camera', camera);
 * if (microphone) await room.media.publish('microphone', microphone);
 * room.addEventListener('published', ({ detail: { publication } }) => {
 *   if (publication.kind === 'video') room.show(publication.id, document.body.appendChild(newVideo()));
 * });
 * await room.chat('Smells good');
 * ```
 */
import { ActionQueue } from './actions.js';
import { SimmerError } from './errors.js';
import { Media } from './media.js';
import { captureScreen } from './screen.js';
import { Socket } from './socket.js';
import { RoomState } from './state.js';
import { ViewSender } from './view.js';

export { capture, devices } from './capture.js';
export { SimmerError } from './errors.js';
export { captureScreen } from './screen.js';

/**
 * @typedef {import('./messages.js').RoomEvent} RoomEvent
 * @typedef {import('./messages.js').Welcome} Welcome
 * @typedef {import('./publication.js').OwnPublication} OwnPublication
 *
 * @typedef {object} JoinOptions
 * @property {string} [url] of the server; by default the one this page came from
 * @property {import('./socket.js').TokenSource} token a token, or a function that makes one whenever another is needed: to begin with, and shortly before
 *   the one before expires
 * @property {string} [name] how others see this participant, unless the token names them
 * @property {boolean} [redundantAudio] whether each packet of sound carries the one before it once more, so that a loss is not heard; true.
 *   It doubles what sound costs
 * @property {number} [silenceMs] how long media that flowed may be silent before another way to the server is sought; 800. 0 leaves it to the browser, which
 *   takes seconds
 * @property {number} [patienceMs] how long to go on trying before the first welcome; 15 s
 */

/** Slots to begin with; the server asks for more when the view needs them. */
const FIRST_SLOTS = { audio: 3, video: 4 };

/**
 * Joins a room. Rejects with a `SimmerError` when the server refuses or cannot be reached.
 * @param {JoinOptions} options
 * @returns {Promise<Room>}
 */
export function join({ url = location.origin, token, name, redundantAudio = true, silenceMs = 800, patienceMs = 15_000 }) {
  const room = new Room({ url: webSocketUrl(url), token, name, redundantAudio, silenceMs });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new SimmerError('connect_failed', 'The server cannot be reached.'));
      room.leave();
    }, patienceMs);
    room.addEventListener('welcome', () => (clearTimeout(timer), resolve(room)), { once: true });
    room.addEventListener('closed', (event) => {
      clearTimeout(timer);
      reject(/** @type {CustomEvent<SimmerError>} */ (event).detail);
    }, { once: true });
    room.open();
  });
}

/**
 * A room one has joined. It reconnects by itself.
 *
 * Events, all `CustomEvent`: every event of the room's log by its `kind` (`chat`, `joined`, `step_ticked`, …; `detail`
 * is the event); `change` whenever `state` has changed; `speakers` when others speak (`detail` is `speakers`); `connection` (`detail` is `connecting`, `open`, `waiting` or
 * `closed`); `media` (`detail` is `off`, `connecting`, `connected` or `lost`); `streams` when slots show something
 * else; `expiring` when a token that is no function expires soon (`detail` is in how many milliseconds: call `renew`); `audioblocked` when `media.audio.blocked` changes; `problem` (`detail` is a `SimmerError`: media is not as it
 * should be); `closed` (`detail` is the `SimmerError` that says why) once, at the end.
 */
export class Room extends EventTarget {
  /** @param {{url: string, token: import('./socket.js').TokenSource, name?: string, redundantAudio: boolean, silenceMs: number}} options */
  constructor({ url, token, name, redundantAudio, silenceMs }) {
    super();
    this.#redundantAudio = redundantAudio;
    this.#silenceMs = silenceMs;
    /** The room as it stands. */
    this.state = new RoomState();
    /** Who speaks now, who leads first. @type {readonly import('./messages.js').Speaker[]} */
    this.speakers = [];
    this.#socket = new Socket({ url, token, name, seen: () => this.state.seq, nextId: this.#nextId });
    this.#socket.addEventListener('state', this.#onSocketState);
    this.#socket.addEventListener('welcome', (event) => this.#onWelcome(detailOf(event)));
    this.#socket.addEventListener('message', (event) => this.#onMessage(detailOf(event), false));
    this.#socket.addEventListener('expiring', (event) => this.#emit('expiring', detailOf(event)));
    this.#socket.addEventListener('closed', (event) => this.#onClosed(detailOf(event)));
    this.#actions = new ActionQueue({ nextId: this.#nextId, newKey: () => crypto.randomUUID(), send: this.#sendAnywhere });
    this.#view = new ViewSender((view) => {
      for (const element of this.#shown.keys()) this.#attach(element);
      return this.#media !== null && this.#sendAnywhere({ type: 'view', view });
    });
  }

  /** Who this participant is. */
  get me() {
    return this.#welcomed.you;
  }

  /** The room's id. */
  get id() {
    return this.#welcomed.room.id;
  }

  /** How the session is connected: `connecting`, `open`, `waiting` (to try again) or `closed`. */
  get connection() {
    return this.#socket.state;
  }

  /** The room's clock now, in milliseconds from its beginning. */
  get clock() {
    return this.#socket.clock ?? 0;
  }

  /** Whether actions can reach the server just now, on either carrier. */
  get reachable() {
    return this.#socket.state === 'open' || this.#media?.channelOpen === true;
  }

  /** Sending, receiving and hearing. Connects when it is first used. */
  get media() {
    if (!this.#media) this.#startMedia();
    return /** @type {Media} */ (this.#media);
  }

  /** Opens the session; `join` does it. */
  open() {
    this.#socket.open();
  }

  /** Leaves the room for good. */
  leave() {
    this.#socket.leave();
  }

  /**
   * Goes on with a newer token of the same room and identity; a session ends when its token expires. A token that is a function is called in time by itself.
   * @param {string} token
   */
  renew(token) {
    this.#socket.renew(token);
  }

  /** @param {string} text */
  chat(text) {
    return this.act({ kind: 'chat', text });
  }

  /** @param {boolean} raised */
  hand(raised) {
    return this.act({ kind: 'hand', raised });
  }

  /**
   * Replaces the steps; everybody's progress starts over.
   * @param {string[]} titles
   */
  setSteps(titles) {
    return this.act({ kind: 'steps_set', steps: titles.map((title) => ({ title })) });
  }

  /** @param {number} step index from 0 */
  startStep(step) {
    return this.act({ kind: 'step_start', step });
  }

  /**
   * @param {number} step index from 0
   * @param {boolean} done
   */
  tick(step, done) {
    return this.act({ kind: 'step_tick', step, done });
  }

  /**
   * Mutes or unmutes a publication: one's own, or as a host (only muting) anybody's. One's own is not sent while muted.
   * @param {string} publication
   * @param {boolean} muted
   */
  mute(publication, muted) {
    return this.act({ kind: 'mute', publication, muted });
  }

  /** @param {boolean} recording start or stop */
  record(recording) {
    return this.act({ kind: recording ? 'record_start' : 'record_stop' });
  }

  /** @param {string} participant */
  kick(participant) {
    return this.act({ kind: 'kick', participant });
  }

  /** Ends the room for everybody. */
  end() {
    return this.act({ kind: 'end' });
  }

  /**
   * Acts in the room; resolves when it is done. While the connection is away the action waits, and acts once.
   * @param {import('./messages.js').Action} action
   */
  act(action) {
    return this.#actions.act(action);
  }

  /**
   * Shares a screen, a window or a tab as the source `screen`, its sound as `screen_audio`, until `unshareScreen` or until the person ends it in the
   * browser. From a click only. Rejects with a `SimmerError` as `captureScreen` does.
   * @param {DisplayMediaStreamOptions} [options]
   */
  async shareScreen(options) {
    const { picture, sound } = await captureScreen(options);
    picture.addEventListener('ended', () => {
      if (this.media.trackOf('screen') === picture) this.unshareScreen();
    });
    await this.media.publish('screen', picture);
    if (sound) await this.media.publish('screen_audio', sound);
    this.#emit('change', null);
  }

  /** Shares the screen no longer. */
  unshareScreen() {
    for (const source of /** @type {const} */ (['screen', 'screen_audio'])) {
      this.media.trackOf(source)?.stop();
      this.media.unpublish(source);
    }
    this.#emit('change', null);
  }

  /**
   * Shows a publication in a `<video>`, asking for the size it is shown in, until `hide` or another `show` there.
   * @param {string} publication
   * @param {HTMLVideoElement} element
   * @param {import('./view.js').ShowOptions} [options]
   */
  show(publication, element, options = {}) {
    this.#place(element, { ...options, publication });
  }

  /**
   * Shows whoever has a role in a `<video>`, now and when that changes: `speaker`, the camera of who speaks or spoke last; `screen`, the newest shared
   * screen. Never one's own, nor what another element shows by `show`, nor what is in the light. The second element for a role shows the second that has it. `roleIn` tells who it is.
   * @param {import('./messages.js').Role} role
   * @param {HTMLVideoElement} element
   * @param {import('./view.js').ShowOptions} [options]
   */
  showRole(role, element, options = {}) {
    this.#place(element, { ...options, role });
  }

  /**
   * The publication that an element given to `showRole` shows now, null for none. `streams` is dispatched when it changes.
   * @param {HTMLVideoElement} element
   */
  roleIn(element) {
    const role = this.#shown.get(element)?.role;
    const rank = this.#view.rankOf(element);
    return role === undefined || rank === undefined ? null : (this.#media?.publicationFor(role, rank) ?? null);
  }

  /** @param {HTMLVideoElement} element */
  hide(element) {
    this.#shown.delete(element);
    this.#view.hide(element);
    element.srcObject = null;
  }

  /**
   * Puts one publication into the light: it comes as sharp as it is sent, before all others, which stay as they are. Null ends that.
   * @param {string | null} publication
   */
  spotlight(publication) {
    this.#view.spotlight(publication);
  }

  /**
   * Which publications are heard: `all`, or these. At first, all.
   * @param {'all' | string[]} publications
   */
  hear(publications) {
    this.#view.hear(publications);
  }

  /** What the browser measures of the transport, of each slot and of each encoding sent. */
  stats() {
    return this.media.stats();
  }

  #startMedia() {
    const { publish } = this.me.may;
    const send = (/** @type {object} */ message) => this.#socket.send(message);
    const mute = (/** @type {string} */ publication, /** @type {boolean} */ muted) => this.mute(publication, muted);
    const media = new Media({ send, nextId: this.#nextId, publish, redundantAudio: this.#redundantAudio, silenceMs: this.#silenceMs, mute });
    this.#media = media;
    media.addEventListener('message', (event) => this.#onMessage(detailOf(event), true));
    media.addEventListener('channel', (event) => this.#onChannel(detailOf(event)));
    media.addEventListener('silence', (event) => this.#socket.check(detailOf(event)));
    media.addEventListener('drained', () => this.#onDrained());
    media.addEventListener('state', (event) => this.#emit('media', detailOf(event)));
    media.addEventListener('problem', (event) => this.#emit('problem', detailOf(event)));
    media.audio.addEventListener('blocked', () => this.#emit('audioblocked', media.audio.blocked));
    media.addEventListener('streams', () => {
      for (const element of this.#shown.keys()) this.#attach(element);
      this.#emit('streams', null);
    });
    // After the caller's turn, so that what it publishes at once is in the first offer.
    queueMicrotask(() => {
      if (this.#socket.state === 'closed') return;
      const others = [...this.state.publications.values()].filter((p) => p.participant !== this.me.id);
      const count = (/** @type {string} */ kind) => others.filter((p) => p.kind === kind).length;
      media.start({
        audio: Math.max(FIRST_SLOTS.audio, count('audio')),
        video: Math.max(FIRST_SLOTS.video, count('video')),
      });
      this.#view.again();
    });
  }

  /**
   * @param {HTMLVideoElement} element
   * @param {import('./view.js').Wanted & import('./view.js').ShowOptions} wanted
   */
  #place(element, wanted) {
    this.#shown.set(element, wanted);
    this.#view.show(wanted, element);
    this.#attach(element);
  }

  /** @param {HTMLVideoElement} element */
  #attach(element) {
    const publication = this.#shown.get(element)?.publication ?? this.roleIn(element);
    const stream = publication === null ? null : (this.#media?.streamOf(publication) ?? null);
    if (element.srcObject !== stream) element.srcObject = stream;
  }

  #onSocketState = (/** @type {Event} */ event) => {
    const state = detailOf(event);
    if (state === 'waiting' && this.#media?.channelOpen) this.#actions.resend();
    this.#emit('connection', state);
  };

  /** @param {Welcome} welcome */
  #onWelcome(welcome) {
    this.#welcomed = welcome;
    if (this.speakers.length > 0) this.#onSpeakers([]);
    if (welcome.snapshot) this.state.restore(welcome.seq, welcome.snapshot);
    this.#media?.reconnected(welcome.session.resumed);
    if (welcome.snapshot) for (const publication of this.state.publications.values()) this.#claim(publication);
    this.#actions.resend();
    this.#view.again();
    this.#emit('welcome', welcome);
    this.#emit('change', null);
  }

  /**
   * @param {{type: string} & Record<string, any>} message
   * @param {boolean} onChannel
   */
  #onMessage(message, onChannel) {
    if (message.type === 'event') {
      // On the channel an event may be missing that a dying WebSocket took with it; the resumption brings it.
      this.#onEvent(/** @type {RoomEvent} */ (message), onChannel);
    } else if (message.type === 'clock') this.#socket.noteClock(message.clock);
    else if (message.type === 'speakers') this.#onSpeakers(message.speakers);
    else if (!this.#actions.settle(message)) this.#media?.take(message);
  }

  /**
   * @param {RoomEvent} event
   * @param {boolean} contiguous
   */
  #onEvent(event, contiguous) {
    if (!this.state.apply(event, { contiguous })) return;
    if (event.kind === 'muted') this.#obeyMute(event);
    if (event.kind === 'published') this.#claim(event.publication);
    if (event.kind === 'unpublished') this.#media?.ended(event.publication);
    this.#emit(event.kind, event);
    this.#emit('change', event);
  }

  /** @param {import('./messages.js').Speaker[]} speakers */
  #onSpeakers(speakers) {
    this.speakers = speakers;
    this.#emit('speakers', speakers);
  }

  /** @param {RoomEvent} event */
  #obeyMute(event) {
    void this.#media?.own(event.publication)?.setSending(!event.muted);
  }

  /** @param {import('./messages.js').PublicationInfo} publication */
  #claim(publication) {
    if (publication.participant === this.me.id) this.#media?.named(publication);
  }

  /** @param {boolean} open */
  #onChannel(open) {
    if (open && this.#socket.state !== 'open') this.#actions.resend();
    this.#emit('connection', this.#socket.state);
  }

  #onDrained() {
    if (this.#socket.state === 'open') return;
    this.#actions.flush();
    this.#view.again();
  }

  /** @param {SimmerError} error */
  #onClosed(error) {
    this.#actions.close(error);
    this.#view.close();
    this.#media?.stop();
    this.#emit('closed', error);
  }

  /** On the WebSocket if it is open, else on the data channel. */
  #sendAnywhere = (/** @type {object} */ message) =>
    this.#socket.send(message) || this.#media?.sendOnChannel(message) === true;

  #nextId = () => {
    this.#lastId += 1;
    return this.#lastId;
  };

  /**
   * @param {string} type
   * @param {unknown} detail
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #redundantAudio;
  #silenceMs;
  #socket;
  #actions;
  #view;
  /** @type {Media | null} */
  #media = null;
  /** @type {Map<HTMLVideoElement, import('./view.js').Wanted & import('./view.js').ShowOptions>} */
  #shown = new Map();
  #lastId = 0;
  /** @type {Welcome} */
  #welcomed = /** @type {any} */ (undefined);
}

/** @param {Event} event */
function detailOf(event) {
  return /** @type {CustomEvent} */ (event).detail;
}

/** @param {string} url */
function webSocketUrl(url) {
  const ws = new URL('/v1/ws', url);
  ws.protocol = ws.protocol === 'https:' || ws.protocol === 'wss:' ? 'wss:' : 'ws:';
  return ws.href;
}
