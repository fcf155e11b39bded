import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { join } from '../src/client.js';
import { FakeWebSocket } from './fakes/websocket.js';

const settled = () => new Promise((resolve) => setImmediate(resolve));
const snapshot = {
  participants: [{ id: 'p1', name: 'Ana', role: 'host', present: true }], publications: [],
  steps: { steps: [{ title: 'Chop' }], current: null, done: {} }, hands: [], chat: [], recording: null, ended: false,
};
const welcome = (extra) => ({
  type: 'welcome', protocol: 1, session: { id: 's1', secret: 'x', resumed: false, grace_ms: 60000 },
  you: { id: 'p1', name: 'Ana', role: 'host', may: { publish: true, subscribe: true, send: true, record: true, administer: true } },
  room: { id: 'r', clock: 0, started_at: 0 }, limits: {}, seq: 3, snapshot, ...extra,
});
const chat = (seq, text) => ({ type: 'event', seq, at: seq * 10, by: 'p1', kind: 'chat', text });

beforeEach((t) => {
  FakeWebSocket.all = [];
  globalThis.WebSocket = FakeWebSocket;
  t.mock.timers.enable({ apis: ['setTimeout'] });
});

async function joined() {
  const joining = join({ url: 'https://simmer.example/some/page', token: 'T', name: 'Ana' });
  await settled();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.say(welcome());
  return joining;
}

test('a room is joined at the server\'s own address', async () => {
  const room = await joined();
  assert.equal(FakeWebSocket.last.url, 'wss://simmer.example/v1/ws');
  assert.equal(room.me.name, 'Ana');
  assert.equal(room.state.seq, 3);
  room.leave();
});

test('a resumption goes on where it was: events once, actions again with their keys', async (t) => {
  const room = await joined();
  const seen = [];
  room.addEventListener('change', ({ detail }) => detail && seen.push(detail.seq));
  FakeWebSocket.last.say(chat(4, 'one'));
  const first = FakeWebSocket.last;
  const done = room.tick(0, true);
  first.end(1006);
  const later = room.chat('said while away');
  t.mock.timers.tick(250);
  await settled();
  const second = FakeWebSocket.last;
  second.accept();
  assert.equal(second.sent[0].resume.after, 4);
  second.say(welcome({ session: { id: 's1', secret: 'y', resumed: true, grace_ms: 60000 }, seq: 4, snapshot: undefined }));
  second.say(chat(4, 'one'));
  second.say(chat(5, 'two'));
  assert.deepEqual(seen, [4, 5]);
  const again = second.sent.filter((message) => message.type === 'do');
  assert.deepEqual(again.map((message) => message.action.kind), ['step_tick', 'chat']);
  assert.equal(again[0].key, first.sent.find((message) => message.type === 'do').key);
  second.say({ type: 'done', re: again[0].id, seq: 6 });
  second.say({ type: 'done', re: again[1].id, seq: 7 });
  assert.deepEqual([await done, await later], [{ seq: 6 }, { seq: 7 }]);
  room.leave();
});

test('a session that is gone begins anew from a snapshot', async (t) => {
  const room = await joined();
  FakeWebSocket.last.say(chat(4, 'forgotten'));
  FakeWebSocket.last.end(1006);
  t.mock.timers.tick(250);
  await settled();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.say(welcome({ seq: 1 }));
  assert.equal(room.state.seq, 1);
  assert.deepEqual(room.state.chat, []);
  room.leave();
});

test('a refusal rejects the joining', async () => {
  const joining = join({ url: 'http://simmer.example', token: 'T' });
  await settled();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.say({ type: 'error', code: 'room_full', message: 'No place.' });
  FakeWebSocket.last.end(4000);
  await assert.rejects(joining, { code: 'room_full' });
});

test('a server that cannot be reached is not tried for ever before the first welcome', async (t) => {
  const joining = join({ url: 'http://simmer.example', token: 'T', patienceMs: 3000 });
  await settled();
  t.mock.timers.tick(3000);
  await assert.rejects(joining, { code: 'connect_failed' });
});

test('what is asked and not answered when the room closes is refused', async () => {
  const room = await joined();
  const ended = room.chat('too late');
  FakeWebSocket.last.end(4004);
  await assert.rejects(ended, { code: 'room_ended' });
  await assert.rejects(room.chat('much too late'), { code: 'room_ended' });
});

test('who speaks is told, and a welcome means silence', async (t) => {
  const room = await joined();
  const told = [];
  room.addEventListener('speakers', ({ detail }) => told.push(detail.map(({ publication }) => publication)));
  FakeWebSocket.last.say({ type: 'speakers', speakers: [{ publication: '1-1', level: 30 }, { publication: '2-1', level: 40 }] });
  assert.deepEqual(room.speakers.map(({ level }) => level), [30, 40]);
  FakeWebSocket.last.end(1006);
  t.mock.timers.tick(250);
  await settled();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.say(welcome());
  assert.deepEqual(room.speakers, []);
  assert.deepEqual(told, [['1-1', '2-1'], []]);
  room.leave();
});
