import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { SimmerError } from '../src/errors.js';
import { RENEW_AGAIN_MS, REPLY_MS, SILENCE_MS, Socket, WELCOME_MS } from '../src/socket.js';
import { FakeWebSocket } from './fakes/websocket.js';

const settled = () => new Promise((resolve) => setImmediate(resolve));
const welcome = (secret, extra = {}) => ({
  type: 'welcome',
  session: { id: 's1', secret, resumed: false, grace_ms: 60000 },
  room: { id: 'r', clock: 1000, started_at: 0 },
  ...extra,
});

beforeEach((t) => {
  FakeWebSocket.all = [];
  t.mock.timers.enable({ apis: ['setTimeout'] });
});

/** A socket and everything it told. */
function socket(options = {}) {
  const told = [];
  const made = new Socket({
    url: 'ws://simmer/v1/ws', token: 'T', name: 'Ana', seen: () => 17, nextId: () => 9, WebSocket: FakeWebSocket, random: () => 1, ...options,
  });
  for (const type of ['state', 'welcome', 'expiring', 'message', 'closed']) {
    made.addEventListener(type, (event) => told.push([type, event.detail]));
  }
  const closed = () => told.find(([type]) => type === 'closed')?.[1];
  return { socket: made, told, closed };
}

test('it says hello and opens at the welcome', async (t) => {
  const { socket: s } = socket();
  s.open();
  await settled();
  FakeWebSocket.last.accept();
  assert.deepEqual(FakeWebSocket.last.sent, [{ type: 'hello', protocol: 1, token: 'T', name: 'Ana' }]);
  assert.equal(s.send({ type: 'leave' }), false);
  FakeWebSocket.last.say(welcome('one'));
  assert.equal(s.state, 'open');
  assert.equal(s.send({ type: 'view' }), true);
  s.leave();
});

test('after a loss it resumes with the newest secret and the last event seen', async (t) => {
  const { socket: s } = socket();
  s.open();
  await settled();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.say(welcome('one'));
  FakeWebSocket.last.end(1006);
  assert.equal(s.state, 'waiting');
  t.mock.timers.tick(250);
  await settled();
  FakeWebSocket.last.accept();
  assert.deepEqual(FakeWebSocket.last.sent[0].resume, { session: 's1', secret: 'one', after: 17 });
  FakeWebSocket.last.say(welcome('two'));
  FakeWebSocket.last.end(4005);
  t.mock.timers.tick(250);
  await settled();
  FakeWebSocket.last.accept();
  assert.equal(FakeWebSocket.last.sent[0].resume.secret, 'two');
  s.leave();
});

test('silence is a loss; anything heard is life', async (t) => {
  const { socket: s } = socket();
  s.open();
  await settled();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.say(welcome('one'));
  t.mock.timers.tick(SILENCE_MS - 1);
  FakeWebSocket.last.say({ type: 'clock', clock: 9000 });
  t.mock.timers.tick(SILENCE_MS - 1);
  assert.equal(s.state, 'open');
  t.mock.timers.tick(1);
  assert.equal(s.state, 'waiting');
  s.leave();
});

test('a WebSocket that is doubted has to show soon that it lives', async (t) => {
  const { socket: s, told } = socket();
  s.open();
  await settled();
  s.check();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.say(welcome('one'));
  const first = FakeWebSocket.last;
  s.check(40);
  s.check(40);
  assert.deepEqual(first.sent.slice(1), [{ type: 'ping' }], 'asked once, and only when it is open');
  t.mock.timers.tick(REPLY_MS + 79);
  first.say({ type: 'clock', clock: 9000 });
  t.mock.timers.tick(SILENCE_MS - 1);
  assert.equal(s.state, 'open', 'anything heard is life');
  s.check(40);
  t.mock.timers.tick(REPLY_MS + 79);
  assert.equal(s.state, 'open');
  t.mock.timers.tick(1);
  await settled();
  const second = FakeWebSocket.last;
  assert.notEqual(second, first);
  second.accept();
  assert.equal(second.sent[0].resume.secret, 'one');
  second.say(welcome('two'));
  s.check();
  assert.deepEqual(second.sent.slice(1), [{ type: 'ping' }], 'the new one can be doubted, too');
  assert.deepEqual(told.filter(([type]) => type === 'state').map(([, state]) => state), ['open', 'connecting', 'open']);
  s.leave();
});

test('a server that never welcomes is left for another try', async (t) => {
  const { socket: s } = socket();
  s.open();
  await settled();
  FakeWebSocket.last.accept();
  t.mock.timers.tick(WELCOME_MS);
  assert.equal(s.state, 'waiting');
  s.leave();
});

test('it waits longer and longer, with jitter, and no longer than ten seconds', async (t) => {
  let jitter = 1;
  const { socket: s } = socket({ random: () => jitter });
  s.open();
  await settled();
  for (const delay of [250, 500, 1000, 2000, 4000, 8000, 10000, 10000]) {
    FakeWebSocket.last.end(1006);
    const before = FakeWebSocket.all.length;
    t.mock.timers.tick(delay - 1);
    await settled();
    assert.equal(FakeWebSocket.all.length, before, `not before ${delay} ms`);
    t.mock.timers.tick(1);
    await settled();
    assert.equal(FakeWebSocket.all.length, before + 1, `after ${delay} ms`);
  }
  jitter = 0;
  FakeWebSocket.last.end(1006);
  t.mock.timers.tick(5000);
  await settled();
  assert.equal(FakeWebSocket.all.length, 10);
  s.leave();
});

for (const [code, expected] of [[4002, 'replaced'], [4003, 'kicked'], [4004, 'room_ended'], [1000, 'left']]) {
  test(`close code ${code} is final: ${expected}`, async (t) => {
    const { socket: s, closed } = socket();
    s.open();
    await settled();
    FakeWebSocket.last.accept();
    FakeWebSocket.last.say(welcome('one'));
    FakeWebSocket.last.end(code);
    assert.equal(s.state, 'closed');
    assert.equal(closed().code, expected);
  });
}

test('a refused token is final, unless another can be made', async (t) => {
  const fixed = socket();
  fixed.socket.open();
  await settled();
  const refuse = () => {
    FakeWebSocket.last.accept();
    FakeWebSocket.last.say({ type: 'error', code: 'bad_token', message: 'No.' });
    FakeWebSocket.last.end(4000);
  };
  refuse();
  assert.equal(fixed.closed().code, 'bad_token');

  let made = 0;
  const fresh = socket({ token: async () => `T${(made += 1)}` });
  fresh.socket.open();
  await settled();
  refuse();
  assert.equal(fresh.socket.state, 'waiting');
  t.mock.timers.tick(250);
  await settled();
  assert.equal(made, 2);
  refuse();
  assert.equal(fresh.closed().code, 'bad_token');
});

test('a token that expires is replaced in time, and held until then', async (t) => {
  let made = 0;
  let fails = false;
  const { socket: s, told } = socket({
    token: async () => {
      if (fails) throw new Error('out of reach');
      return `T${(made += 1)}`;
    },
  });
  s.open();
  await settled();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.say(welcome('one'));
  FakeWebSocket.last.end(1006);
  t.mock.timers.tick(250);
  await settled();
  FakeWebSocket.last.accept();
  assert.equal(FakeWebSocket.last.sent[0].token, 'T1', 'a good token is good for another connection');
  FakeWebSocket.last.say(welcome('two'));
  fails = true;
  FakeWebSocket.last.say({ type: 'expiring', in_ms: 30_000 });
  await settled();
  assert.equal(FakeWebSocket.last.sent.length, 1);
  fails = false;
  t.mock.timers.tick(RENEW_AGAIN_MS);
  await settled();
  assert.deepEqual(FakeWebSocket.last.sent[1], { type: 'token', id: 9, token: 'T2' });
  FakeWebSocket.last.say({ type: 'error', re: 9, code: 'bad_token', message: 'No.' });
  FakeWebSocket.last.end(1006);
  t.mock.timers.tick(250);
  await settled();
  FakeWebSocket.last.accept();
  assert.equal(FakeWebSocket.last.sent[0].token, 'T3', 'what was refused is not held');
  FakeWebSocket.last.say(welcome('three'));
  FakeWebSocket.last.say({ type: 'error', code: 'token_expired', message: 'Too late.' });
  FakeWebSocket.last.end(4006);
  assert.equal(s.state, 'waiting', 'a new session begins');
  t.mock.timers.tick(250);
  await settled();
  FakeWebSocket.last.accept();
  assert.equal(FakeWebSocket.last.sent[0].token, 'T4');
  assert.deepEqual(told.filter(([type]) => type === 'expiring'), []);
  s.leave();
});

test('a token that ran out while the connection was away is replaced', async (t) => {
  let made = 0;
  const { socket: s } = socket({ token: async () => `T${(made += 1)}` });
  s.open();
  await settled();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.say(welcome('one'));
  for (const delay of [250, 500]) {
    FakeWebSocket.last.end(1006);
    t.mock.timers.tick(delay);
    await settled();
  }
  FakeWebSocket.last.accept();
  assert.equal(FakeWebSocket.last.sent[0].token, 'T1');
  FakeWebSocket.last.say({ type: 'error', code: 'bad_token', message: 'No.' });
  FakeWebSocket.last.end(4000);
  assert.equal(s.state, 'waiting');
  t.mock.timers.tick(1000);
  await settled();
  FakeWebSocket.last.accept();
  assert.equal(FakeWebSocket.last.sent[0].token, 'T2');
  s.leave();
});

test('a fixed token is replaced by who made it, or the session ends with it', async (t) => {
  const { socket: s, told, closed } = socket();
  s.open();
  await settled();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.say(welcome('one'));
  FakeWebSocket.last.say({ type: 'expiring', in_ms: 30_000 });
  assert.deepEqual(told.at(-1), ['expiring', 30_000]);
  s.renew('T2');
  assert.deepEqual(FakeWebSocket.last.sent[1], { type: 'token', id: 9, token: 'T2' });
  FakeWebSocket.last.end(1006);
  t.mock.timers.tick(250);
  await settled();
  FakeWebSocket.last.accept();
  assert.equal(FakeWebSocket.last.sent[0].token, 'T2');
  FakeWebSocket.last.say(welcome('two'));
  FakeWebSocket.last.say({ type: 'error', code: 'token_expired', message: 'Too late.' });
  FakeWebSocket.last.end(4006);
  assert.equal(closed().code, 'token_expired');
});

test('a token source that says it is of no use ends the session', async (t) => {
  const { socket: s, closed } = socket({ token: () => { throw new SimmerError('kicked', 'Removed.'); } });
  s.open();
  await settled();
  assert.equal(closed().code, 'kicked');
});

test('the clock follows the least delayed message', async (t) => {
  const { socket: s } = socket();
  assert.equal(s.clock, null);
  s.open();
  await settled();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.say(welcome('one'));
  const before = s.clock;
  s.noteClock(before - 400);
  assert.ok(s.clock >= before, 'a late message does not set the clock back');
  s.noteClock(before + 5000);
  assert.ok(s.clock >= before + 5000);
  s.leave();
});
