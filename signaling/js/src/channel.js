/**
 * The data channel `room`: room messages both ways. It takes no more than may wait in the browser; what it refuses is to be
 * kept by the caller until it has drained.
 */

/** How many bytes may wait in the browser. Past that nothing is taken until a quarter of it is left. */
export const MOST_BUFFERED = 256 * 1024;

export class RoomChannel {
  /**
   * @param {RTCDataChannel} channel
   * @param {object} told
   * @param {(open: boolean) => void} told.opened it has opened or closed
   * @param {(message: unknown) => void} told.message
   * @param {() => void} told.drained it takes messages again
   */
  constructor(channel, { opened, message, drained }) {
    this.#channel = channel;
    channel.bufferedAmountLowThreshold = MOST_BUFFERED / 4;
    channel.onopen = () => opened(true);
    channel.onclose = () => opened(false);
    channel.onbufferedamountlow = () => {
      if (!this.#full) return;
      this.#full = false;
      drained();
    };
    channel.onmessage = ({ data }) => {
      if (typeof data !== 'string') return;
      let read;
      try {
        read = JSON.parse(data);
      } catch {
        return; // Not JSON: not for us.
      }
      message(read);
    };
  }

  /** Whether messages go out on it. */
  get open() {
    return this.#channel.readyState === 'open';
  }

  /**
   * Sends a message; false when the channel is not open, or too much waits already.
   * @param {object} message
   */
  send(message) {
    if (!this.open) return false;
    this.#full ||= this.#channel.bufferedAmount >= MOST_BUFFERED;
    if (this.#full) return false;
    try {
      this.#channel.send(JSON.stringify(message));
      return true;
    } catch {
      return false;
    }
  }

  /** Tells nothing more. */
  forget() {
    const channel = this.#channel;
    channel.onopen = channel.onclose = channel.onmessage = channel.onbufferedamountlow = null;
  }

  #channel;
  #full = false;
}
