import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ActionQueue, MAX_OPEN } from '../src/actions.js';
import { SimmerError } from '../src/errors.js';

/** A queue whose carrier can be closed, and what went over it. */
function queue() {
  const sent = [];
  const carrier = { open: true };
  let id = 0;
  let key = 0;
  const actions = new ActionQueue({
    nextId: () => (id += 1),
    newKey: () => `key-${(key += 1)}`,
    send: (message) => carrier.open && sent.push(message) > 0,
  });
  return { actions, carrier, sent };
}

test('an action resolves with its seq when it is done', async () => {
  const { actions, sent } = queue();
  const done = actions.act({ kind: 'chat', text: 'hi' });
  assert.deepEqual(sent, [{ type: 'do', id: 1, key: 'key-1', action: { kind: 'chat', text: 'hi' } }]);
  assert.equal(actions.settle({ type: 'done', re: 1, seq: 19 }), true);
  assert.deepEqual(await done, { seq: 19 });
  assert.equal(actions.size, 0);
});

test('a refusal is a SimmerError with the code', async () => {
  const { actions } = queue();
  const done = actions.act({ kind: 'end' });
  actions.settle({ type: 'error', re: 1, code: 'rate_limited', message: 'Slower.', retry_ms: 400 });
  await assert.rejects(done, (error) => error instanceof SimmerError && error.code === 'rate_limited' && error.retryMs === 400);
});

test('what is open is sent again, in order and with the same keys', () => {
  const { actions, carrier, sent } = queue();
  carrier.open = false;
  void actions.act({ kind: 'chat', text: 'one' });
  void actions.act({ kind: 'chat', text: 'two' });
  assert.equal(sent.length, 0);
  carrier.open = true;
  actions.resend();
  actions.settle({ type: 'done', re: 1, seq: 5 });
  actions.resend();
  assert.deepEqual(sent.map((m) => [m.key, m.action.text]), [['key-1', 'one'], ['key-2', 'two'], ['key-2', 'two']]);
});

test('a second reply to the same action is nobody\'s', async () => {
  const { actions } = queue();
  const done = actions.act({ kind: 'chat', text: 'hi' });
  actions.settle({ type: 'done', re: 1, seq: 5 });
  assert.equal(actions.settle({ type: 'done', re: 1, seq: 5 }), false);
  await done;
});

test('the queue is bounded', async () => {
  const { actions, carrier } = queue();
  carrier.open = false;
  const waiting = Array.from({ length: MAX_OPEN }, () => actions.act({ kind: 'hand', raised: true }));
  await assert.rejects(actions.act({ kind: 'hand', raised: false }), { code: 'queue_full' });
  actions.close(new SimmerError('kicked', 'Removed.'));
  const results = await Promise.allSettled(waiting);
  assert.ok(results.every((r) => r.status === 'rejected' && r.reason.code === 'kicked'));
  await assert.rejects(actions.act({ kind: 'hand', raised: false }), { code: 'kicked' });
});
