import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RoomState } from '../src/state.js';

const ana = { id: 'p1', name: 'Ana', role: 'host' };
const ben = { id: 'p2', name: 'Ben', role: 'participant' };
const camera = { id: 'p1-0', participant: 'p1', kind: 'video', source: 'camera', simulcast: true };

/** A state after these events, numbered from 1. */
function after(...events) {
  const state = new RoomState();
  events.forEach((event, index) => state.apply({ type: 'event', seq: index + 1, at: 0, by: null, ...event }));
  return state;
}

const steps = { kind: 'steps_set', by: 'p1', steps: [{ title: 'Chop' }, { title: 'Fry' }] };

test('a snapshot replaces everything', () => {
  const state = after({ kind: 'joined', participant: ben });
  state.restore(17, {
    participants: [{ ...ana, present: true }, { ...ben, present: false }],
    publications: [{ ...camera, muted: true }],
    steps: { steps: [{ title: 'Chop' }], current: 0, done: { p1: [true] } },
    hands: ['p1'],
    chat: [{ seq: 4, at: 1200, by: 'p1', text: 'hi' }],
    recording: { state: 'started', session: '01J' },
    ended: false,
  });
  assert.equal(state.seq, 17);
  assert.deepEqual(state.present.map((p) => p.name), ['Ana']);
  assert.equal(state.publicationOf('p1', 'camera')?.muted, true);
  assert.equal(state.currentStep, 0);
  assert.equal(state.isDone('p1', 0), true);
  assert.deepEqual([...state.hands], ['p1']);
  assert.equal(state.recording?.session, '01J');
});

test('an event counts exactly once, whatever order the carriers bring it in', () => {
  const state = after({ kind: 'chat', by: 'p1', text: 'one' });
  assert.equal(state.apply({ type: 'event', seq: 1, at: 0, by: 'p1', kind: 'chat', text: 'one' }), false);
  assert.equal(state.apply({ type: 'event', seq: 2, at: 0, by: 'p1', kind: 'chat', text: 'two' }), true);
  assert.deepEqual(state.chat.map((line) => line.text), ['one', 'two']);
});

test('where a gap must not be, an event after it waits for the resumption', () => {
  const state = after({ kind: 'chat', by: 'p1', text: 'one' });
  const third = { type: 'event', seq: 3, at: 0, by: 'p1', kind: 'chat', text: 'three' };
  assert.equal(state.apply(third, { contiguous: true }), false);
  assert.equal(state.seq, 1);
  state.apply({ type: 'event', seq: 2, at: 0, by: 'p1', kind: 'chat', text: 'two' });
  assert.equal(state.apply(third, { contiguous: true }), true);
  assert.deepEqual(state.chat.map((line) => line.text), ['one', 'two', 'three']);
});

test('an event of an unknown kind changes nothing but counts', () => {
  const state = after({ kind: 'joined', participant: ana });
  assert.equal(state.apply({ type: 'event', seq: 2, at: 0, by: null, kind: 'fireworks' }), true);
  assert.equal(state.seq, 2);
  assert.equal(state.present.length, 1);
});

test('new steps start all progress over', () => {
  const state = after(
    steps,
    { kind: 'step_started', by: 'p1', step: 1 },
    { kind: 'step_ticked', by: 'p2', step: 1, done: true },
  );
  assert.equal(state.currentStep, 1);
  assert.deepEqual(state.done.get('p2'), [false, true]);
  state.apply({ type: 'event', seq: 4, at: 0, ...steps });
  assert.equal(state.currentStep, null);
  assert.equal(state.isDone('p2', 1), false);
});

test('who leaves takes hand and publications along, and keeps the progress', () => {
  const state = after(
    { kind: 'joined', participant: ana },
    { kind: 'published', publication: camera },
    steps,
    { kind: 'step_ticked', by: 'p1', step: 0, done: true },
    { kind: 'hand', by: 'p1', raised: true },
    { kind: 'left', participant: 'p1', reason: 'timeout' },
  );
  assert.equal(state.present.length, 0);
  assert.equal(state.publications.size, 0);
  assert.equal(state.hands.size, 0);
  assert.equal(state.isDone('p1', 0), true);
  state.apply({ type: 'event', seq: 7, at: 0, by: null, kind: 'joined', participant: ana });
  assert.equal(state.present.length, 1);
});

test('a mute of a publication that has ended meanwhile is no matter', () => {
  const state = after(
    { kind: 'published', publication: camera },
    { kind: 'muted', publication: 'p1-0', muted: true },
  );
  assert.equal(state.publications.get('p1-0')?.muted, true);
  state.apply({ type: 'event', seq: 3, at: 0, by: null, kind: 'unpublished', publication: 'p1-0' });
  state.apply({ type: 'event', seq: 4, at: 0, by: 'p1', kind: 'muted', publication: 'p1-0', muted: false });
  assert.equal(state.publications.size, 0);
});

test('the chat keeps its last 200 lines', () => {
  const state = after(...Array.from({ length: 230 }, (_, i) => ({ kind: 'chat', by: 'p1', text: `line ${i}` })));
  assert.equal(state.chat.length, 200);
  assert.equal(state.chat[0].text, 'line 30');
});
