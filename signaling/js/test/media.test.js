import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Media } from '../src/media.js';
import { FakePeerConnection, FakeStream } from './fakes/peer.js';

const settled = () => new Promise((resolve) => setImmediate(resolve));

beforeEach((t) => {
  FakePeerConnection.all = [];
  Object.assign(globalThis, {
    RTCPeerConnection: FakePeerConnection, MediaStream: FakeStream, RTCRtpSender: {}, RTCRtpReceiver: {},
  });
  t.mock.timers.enable({ apis: ['setTimeout'] });
});

/** Media that is connected, and what it sent on the WebSocket. */
async function connected() {
  const sent = [];
  const media = new Media({
    send: (message) => sent.push(message) > 0, nextId: () => sent.length + 1, publish: true, redundantAudio: true, silenceMs: 0, mute: async () => {},
  });
  media.start({ audio: 0, video: 0 });
  await settled();
  media.take({ type: 'answer', re: sent.at(-1).id, sdp: 'v=0' });
  await settled();
  FakePeerConnection.last.becomes('connected');
  return { media, sent };
}

test('when the browser notices first that nothing comes, others are told and ICE restarts at once', async (t) => {
  const { media, sent } = await connected();
  const silences = [];
  media.addEventListener('silence', ({ detail }) => silences.push(detail));
  FakePeerConnection.last.becomes('disconnected');
  await settled();
  assert.deepEqual([silences, media.state], [[0], 'connected']);
  assert.deepEqual(FakePeerConnection.last.offered, [{}, { iceRestart: true }]);
  t.mock.timers.tick(1_000);
  await settled();
  assert.deepEqual([media.state, sent.length], ['lost', 2], 'one restart is enough');
});

test('an interruption that ends is none', async (t) => {
  const { media } = await connected();
  FakePeerConnection.last.becomes('disconnected');
  FakePeerConnection.last.becomes('connected');
  t.mock.timers.tick(10_000);
  await settled();
  assert.deepEqual([media.state, FakePeerConnection.all.length], ['connected', 1]);
});

test('when a restart does not help, another connection is made', async (t) => {
  const { sent } = await connected();
  FakePeerConnection.last.becomes('failed');
  await settled();
  assert.deepEqual(FakePeerConnection.last.offered, [{}, { iceRestart: true }]);
  t.mock.timers.tick(6_000);
  await settled();
  assert.equal(FakePeerConnection.all.length, 2);
  assert.equal(sent.at(-1).fresh, true);
});
