/**
 * What this participant has asked of the room and not yet heard back about.
 *
 * Every action has a key, so sending it again after a reconnect, or over the other carrier, cannot act twice.
 * The queue is bounded: past `MAX_OPEN` an action is refused at once with `queue_full`.
 */
import { SimmerError } from './errors.js';

/** How many actions may wait for their reply. */
export const MAX_OPEN = 200;

/**
 * @typedef {object} Open
 * @property {object} message
 * @property {(reply: {seq: number | undefined}) => void} resolve
 * @property {(error: SimmerError) => void} reject
 * @property {boolean} sent whether the carrier as it is now has taken it
 */

export class ActionQueue {
  /**
   * @param {object} needs
   * @param {() => number} needs.nextId a number no other open request has
   * @param {() => string} needs.newKey
   * @param {(message: object) => boolean} needs.send false when no carrier takes it; it then waits for `flush` or `resend`
   */
  constructor({ nextId, newKey, send }) {
    this.#nextId = nextId;
    this.#newKey = newKey;
    this.#send = send;
  }

  /** How many actions wait for their reply. */
  get size() {
    return this.#open.size;
  }

  /**
   * Acts; resolves when the server has done it, with the event's `seq` if there was one.
   * @param {import('./messages.js').Action} action
   * @returns {Promise<{seq: number | undefined}>}
   */
  act(action) {
    if (this.#closed) return Promise.reject(this.#closed);
    if (this.#open.size >= MAX_OPEN) {
      return Promise.reject(new SimmerError('queue_full', 'Too much is waiting to be sent. Try again in a moment.'));
    }
    return new Promise((resolve, reject) => {
      const id = this.#nextId();
      const message = { type: 'do', id, key: this.#newKey(), action };
      this.#open.set(id, { message, resolve, reject, sent: false });
      this.flush();
    });
  }

  /** Sends everything that is still open once more, oldest first: a carrier has opened or changed. */
  resend() {
    for (const open of this.#open.values()) open.sent = false;
    this.flush();
  }

  /** Sends what no carrier took before, oldest first: there is room again. */
  flush() {
    for (const open of this.#open.values()) {
      if (open.sent) continue;
      open.sent = this.#send(open.message);
      if (!open.sent) return;
    }
  }

  /**
   * Takes a `done` or `error`; false when it answers none of these actions.
   * @param {{type: string, re?: number, seq?: number, code?: string, message?: string, retry_ms?: number}} reply
   */
  settle(reply) {
    if (reply.re === undefined) return false;
    const open = this.#open.get(reply.re);
    if (!open) return false;
    this.#open.delete(reply.re);
    if (reply.type === 'done') open.resolve({ seq: reply.seq });
    else open.reject(SimmerError.fromServer({ code: 'internal', message: 'Refused.', ...reply }));
    return true;
  }

  /**
   * Refuses everything, now and from now on.
   * @param {SimmerError} error
   */
  close(error) {
    this.#closed = error;
    for (const { reject } of this.#open.values()) reject(error);
    this.#open.clear();
  }

  #nextId;
  #newKey;
  #send;
  /** In the order they were asked. @type {Map<number, Open>} */
  #open = new Map();
  /** @type {SimmerError | undefined} */
  #closed;
}
