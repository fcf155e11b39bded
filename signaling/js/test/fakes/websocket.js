/** A WebSocket whose other end is the test. */
export class FakeWebSocket {
  /** Every one that was opened, in order. @type {FakeWebSocket[]} */
  static all = [];

  /** What the client sent. */
  sent = [];
  readyState = 0;

  constructor(url, protocol) {
    Object.assign(this, { url, protocol });
    FakeWebSocket.all.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }

  accept() {
    this.readyState = 1;
    this.onopen?.();
  }

  say(message) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  end(code) {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  static get last() {
    return FakeWebSocket.all[FakeWebSocket.all.length - 1];
  }
}
