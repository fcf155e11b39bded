/**
 * One session's WebSocket: it says hello, resumes by itself after a loss, and knows the room's clock.
 *
 * Events: `state` (`detail` is the new `SocketState`), `welcome` (`detail` is the message), `expiring` (`detail` is in how many milliseconds
 * the token expires, where no other can be made), `message` (any other message), `closed` (`detail` is the `SimmerError` that ended the session for good).
 */
import { SimmerError } from './errors.js';
import { PROTOCOL } from './messages.js';

/**
 * @typedef {'connecting' | 'open' | 'waiting' | 'closed'} SocketState
 * @typedef {string | (() => string | Promise<string>)} TokenSource a token, or what makes one whenever another is needed
 */

/** Silence after which the WebSocket is taken for dead; the server sends its clock every 5 s. */
export const SILENCE_MS = 12_000;
/** Time from opening a WebSocket to the server's welcome. */
export const WELCOME_MS = 10_000;
/** What a reply to a ping may take beside two round trips, when something speaks for a dead WebSocket. */
export const REPLY_MS = 500;
/** When a token could not be had, how long until it is tried again. */
export const RENEW_AGAIN_MS = 5_000;
const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 10_000;
/** Of how many `clock` messages the least delayed one counts. */
const CLOCK_SAMPLES = 12;

export class Socket extends EventTarget {
  /**
   * @param {object} options
   * @param {string} options.url of the WebSocket
   * @param {TokenSource} options.token
   * @param {string} [options.name]
   * @param {() => number} options.seen the last event seen, to resume after
   * @param {() => number} options.nextId
   * @param {typeof globalThis.WebSocket} [options.WebSocket]
   * @param {() => number} [options.random] from 0 to 1, for the backoff's jitter
   */
  constructor({ url, token, name, seen, nextId, WebSocket = globalThis.WebSocket, random = Math.random }) {
    super();
    this.#url = url;
    this.#token = token;
    this.#name = name;
    this.#seen = seen;
    this.#nextId = nextId;
    this.#WebSocket = WebSocket;
    this.#random = random;
    globalThis.addEventListener?.('online', this.#hurry);
  }

  /** @returns {SocketState} */
  get state() {
    return this.#state;
  }

  /** The room's clock now, in milliseconds from the room's beginning; null before the first welcome. */
  get clock() {
    if (this.#offsets.length === 0) return null;
    return performance.now() + Math.max(...this.#offsets);
  }

  /** Opens the WebSocket now. */
  open() {
    if (this.#state === 'closed') return;
    this.#drop();
    this.#set('connecting');
    void this.#connect(++this.#attempt);
  }

  /**
   * Sends a message; false when the session is not open.
   * @param {object} message
   */
  send(message) {
    if (this.#state !== 'open' || this.#ws?.readyState !== 1) return false;
    this.#ws.send(JSON.stringify(message));
    return true;
  }

  /**
   * Something speaks for a way to the server that is gone: unless the server is heard very soon, another WebSocket is opened.
   * @param {number} [roundTripMs] the time to the server and back, if it is known
   */
  check(roundTripMs = 0) {
    if (this.#checking || !this.send({ type: 'ping' })) return;
    this.#checking = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), REPLY_MS + 2 * roundTripMs);
  }

  /**
   * Goes on with this token.
   * @param {string} token
   */
  renew(token) {
    if (typeof this.#token !== 'function') this.#token = token;
    this.#held = token;
    this.send({ type: 'token', id: this.#nextId(), token });
  }

  /** Ends the session for good. */
  leave() {
    this.send({ type: 'leave' });
    this.#close(new SimmerError('left', 'You left.'));
  }

  /** @param {number} attempt */
  async #connect(attempt) {
    let token;
    this.#reused = this.#held !== undefined;
    try {
      // One that is still good is not asked for again: who makes tokens may be out of reach, as the server was.
      token = this.#held ?? (typeof this.#token === 'function' ? await this.#token() : this.#token);
    } catch (error) {
      if (attempt !== this.#attempt || this.#state === 'closed') return;
      if (error instanceof SimmerError && FINAL_CODES.has(error.code)) this.#close(error);
      else this.#retry();
      return;
    }
    if (attempt !== this.#attempt || this.#state === 'closed') return;
    this.#held = token;
    const ws = new this.#WebSocket(this.#url, 'simmer.v1');
    this.#ws = ws;
    this.#refusal = undefined;
    this.#watch(WELCOME_MS);
    ws.onopen = () => ws.send(JSON.stringify(this.#hello(token)));
    ws.onmessage = (message) => this.#receive(message.data);
    ws.onclose = (close) => this.#lost(close.code);
    ws.onerror = () => {};
  }

  /** @param {number} inMs when the present one expires */
  async #replaceToken(inMs) {
    this.#held = undefined;
    if (typeof this.#token !== 'function') {
      this.dispatchEvent(new CustomEvent('expiring', { detail: inMs }));
      return;
    }
    const attempt = this.#attempt;
    try {
      const token = await this.#token();
      if (attempt === this.#attempt && this.#state === 'open') this.renew(token);
    } catch {
      if (attempt !== this.#attempt || inMs < RENEW_AGAIN_MS) return;
      clearTimeout(this.#renewal);
      this.#renewal = setTimeout(() => void this.#replaceToken(inMs - RENEW_AGAIN_MS), RENEW_AGAIN_MS);
    }
  }

  /** @param {string} token */
  #hello(token) {
    const hello = { type: 'hello', protocol: PROTOCOL, token, name: this.#name };
    if (!this.#session) return hello;
    return { ...hello, resume: { ...this.#session, after: this.#seen() } };
  }

  /** @param {unknown} data */
  #receive(data) {
    if (typeof data !== 'string') return;
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (this.#state === 'open') {
      this.#checking = false;
      this.#watch(SILENCE_MS);
    }
    if (message.type === 'welcome') {
      this.#session = { session: message.session.id, secret: message.session.secret };
      this.#failures = 0;
      this.#offsets = [];
      this.noteClock(message.room.clock);
      this.#watch(SILENCE_MS);
      this.#set('open');
      this.dispatchEvent(new CustomEvent('welcome', { detail: message }));
    } else if (message.type === 'clock') {
      this.noteClock(message.clock);
    } else if (message.type === 'expiring') {
      void this.#replaceToken(message.in_ms);
    } else {
      if (message.type === 'error' && message.re === undefined) this.#refusal = SimmerError.fromServer(message);
      if (message.type === 'error' && message.code === 'bad_token') this.#held = undefined;
      this.dispatchEvent(new CustomEvent('message', { detail: message }));
    }
  }

  /**
   * Takes in what the server said its clock was, on whichever carrier.
   * @param {number} clock
   */
  noteClock(clock) {
    this.#offsets.push(clock - performance.now());
    if (this.#offsets.length > CLOCK_SAMPLES) this.#offsets.shift();
  }

  /** @param {number} code */
  #lost(code) {
    const refusal = this.#refusal;
    this.#drop();
    if (code === 4003) this.#close(refusal ?? new SimmerError('kicked', 'The host removed you from the room.'));
    else if (code === 4004) this.#close(refusal ?? new SimmerError('room_ended', 'The room has ended.'));
    else if (code === 4001 || code === 4002) this.#close(new SimmerError('replaced', 'You joined again somewhere else.'));
    else if (code === 4006) this.#expired(refusal);
    else if (code === 1000) this.#close(new SimmerError('left', 'You left.'));
    else if (code === 4000 && refusal && !this.#worthAnotherToken(refusal)) this.#close(refusal);
    else this.#retry();
  }

  /**
   * Without a token in time the session is over; with another one a new session begins.
   * @param {SimmerError | undefined} refusal
   */
  #expired(refusal) {
    this.#held = undefined;
    if (typeof this.#token === 'function') this.#retry();
    else this.#close(refusal ?? new SimmerError('token_expired', 'Your token has expired.'));
  }

  /**
   * A token that has run out meanwhile is replaced by a new one, once.
   * @param {SimmerError} refusal
   */
  #worthAnotherToken(refusal) {
    return refusal.code === 'bad_token' && typeof this.#token === 'function' && (this.#reused || this.#failures === 0);
  }

  #retry() {
    this.#set('waiting');
    const longest = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.open(), longest * (0.5 + this.#random() / 2));
  }

  #hurry = () => {
    if (this.#state === 'waiting') this.open();
  };

  /** @param {number} ms */
  #watch(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#drop();
      this.#retry();
    }, ms);
  }

  /** Forgets the present WebSocket, whatever it still has to say. */
  #drop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#renewal);
    this.#checking = false;
    const ws = this.#ws;
    this.#ws = undefined;
    if (!ws) return;
    ws.onopen = ws.onmessage = ws.onclose = null;
    ws.close();
  }

  /** @param {SimmerError} error */
  #close(error) {
    if (this.#state === 'closed') return;
    this.#drop();
    globalThis.removeEventListener?.('online', this.#hurry);
    this.#set('closed');
    this.dispatchEvent(new CustomEvent('closed', { detail: error }));
  }

  /** @param {SocketState} state */
  #set(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.dispatchEvent(new CustomEvent('state', { detail: state }));
  }

  #url;
  #token;
  #name;
  #seen;
  #nextId;
  #WebSocket;
  #random;
  /** @type {SocketState} */
  #state = 'connecting';
  /** @type {WebSocket | undefined} */
  #ws;
  /** @type {{session: string, secret: string} | undefined} */
  #session;
  /** The token that the server took, as long as nothing is known against it. @type {string | undefined} */
  #held;
  /** Whether the present WebSocket's token was good for another one before. */
  #reused = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #renewal;
  /** The `error` that goes before a close. @type {SimmerError | undefined} */
  #refusal;
  /** Whether a ping waits for a sign of life. */
  #checking = false;
  #attempt = 0;
  #failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {number[]} */
  #offsets = [];
}

/** What a token source may throw to say that trying again is of no use. */
const FINAL_CODES = new Set(['bad_token', 'kicked', 'room_ended', 'not_allowed', 'not_found', 'bad_name', 'invalid']);
