import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ActionQueue } from '../src/actions.js';
import { MOST_BUFFERED, RoomChannel } from '../src/channel.js';

/** A data channel whose line can be held up. */
class FakeChannel {
  readyState = 'connecting';
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  sent = [];

  open() {
    this.readyState = 'open';
    this.onopen?.();
  }

  send(text) {
    this.sent.push(JSON.parse(text));
    this.bufferedAmount += text.length;
  }

  /** The line takes so much of what waits. */
  drain(bytes) {
    const before = this.bufferedAmount;
    this.bufferedAmount = Math.max(0, before - bytes);
    const low = this.bufferedAmountLowThreshold;
    if (before > low && this.bufferedAmount <= low) this.onbufferedamountlow?.();
  }
}

/** A room's channel over a fake one, and what it told. */
function channel(drained = () => {}) {
  const fake = new FakeChannel();
  const told = [];
  const room = new RoomChannel(fake, { opened: (open) => told.push(open), message: (m) => told.push(m), drained });
  return { fake, room, told };
}

test('it tells what comes, and nothing that is not JSON', () => {
  const { fake, room, told } = channel();
  assert.equal(room.send({ type: 'do' }), false);
  fake.open();
  fake.onmessage({ data: '{"type":"clock"}' });
  fake.onmessage({ data: '{' });
  fake.onmessage({ data: new ArrayBuffer(2) });
  assert.deepEqual(told, [true, { type: 'clock' }]);
  assert.equal(room.send({ type: 'do' }), true);
  room.forget();
  assert.equal(fake.onmessage, null);
});

test('what waits in the browser is bounded, and goes on when it has drained', () => {
  let drained = 0;
  const { fake, room } = channel(() => (drained += 1));
  fake.open();
  const message = { text: 'x'.repeat(1000) };
  let taken = 0;
  while (room.send(message)) taken += 1;
  assert.ok(fake.bufferedAmount >= MOST_BUFFERED && fake.bufferedAmount < MOST_BUFFERED + 2000);
  fake.drain(MOST_BUFFERED / 2);
  assert.equal(room.send(message), false, 'not before a quarter is left');
  assert.equal(drained, 0);
  fake.drain(MOST_BUFFERED / 2);
  assert.equal(drained, 1);
  assert.equal(room.send(message), true);
  assert.equal(fake.sent.length, taken + 1);
  fake.drain(MOST_BUFFERED);
  assert.equal(drained, 1, 'it was not full');
});

test('actions that the channel did not take go once and in order when it has drained', () => {
  let id = 0;
  const { fake, room } = channel(() => actions.flush());
  const actions = new ActionQueue({
    nextId: () => (id += 1),
    newKey: () => `key-${id}`,
    send: (message) => room.send(message),
  });
  fake.open();
  const text = 'x'.repeat(MOST_BUFFERED / 10);
  for (let i = 0; i < 30; i += 1) void actions.act({ kind: 'chat', text });
  assert.ok(fake.sent.length < 12);
  for (let i = 0; i < 5; i += 1) fake.drain(MOST_BUFFERED * 2);
  assert.deepEqual(fake.sent.map((message) => message.id), Array.from({ length: 30 }, (_, i) => i + 1));
});
