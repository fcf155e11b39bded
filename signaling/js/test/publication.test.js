import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { Media } from '../src/media.js';
import { FakePeerConnection, FakeStream, FakeTrack } from './fakes/peer.js';

const settled = () => new Promise((resolve) => setImmediate(resolve));
const camera = () => new FakeTrack('video');

beforeEach(() => {
  FakePeerConnection.all = [];
  Object.assign(globalThis, {
    RTCPeerConnection: FakePeerConnection, MediaStream: FakeStream, RTCRtpSender: {}, RTCRtpReceiver: {},
  });
});

/** Media that is connected, with no slots, and its server: what it was sent, what it was told, and how it answers. */
async function connected(publish = true) {
  const sent = [];
  const told = [];
  let lastId = 0;
  const media = new Media({
    send: (message) => sent.push(message) > 0, nextId: () => (lastId += 1), publish, redundantAudio: true, silenceMs: 0,
    mute: async (publication, muted) => told.push([publication, muted]),
  });
  const answer = async () => {
    await settled();
    media.take({ type: 'answer', re: sent.at(-1).id, sdp: 'v=0' });
    await settled();
  };
  media.start({ audio: 0, video: 0 });
  await answer();
  const tracks = () => sent.at(-1).tracks;
  const on = (mid) => FakePeerConnection.last.transceivers.find((one) => one.mid === mid);
  return { media, sent, told, answer, tracks, on };
}

/** The room has what the last offer publishes, by ids made of a name and the mid. */
function name(media, tracks, as) {
  for (const { mid, source } of tracks) media.named({ id: `${as}-${mid}`, mid, source });
}

test('a source that publishes once more sends another track on the same m-line', async () => {
  const { media, answer, tracks, sent, on } = await connected();
  const [front, other] = [camera(), camera()];
  const first = await media.publish('camera', front);
  await answer();
  const offers = sent.length;
  assert.equal(await media.publish('camera', other), first);
  await settled();
  assert.equal(sent.length, offers, 'nothing is negotiated');
  const [{ mid }] = tracks();
  assert.equal(on(mid).sender.track, other);
  assert.equal(media.trackOf('camera'), other);
});

test('what is published in the same turn is one publication, too', async () => {
  const { media, answer, tracks } = await connected();
  const both = [media.publish('camera', camera()), media.publish('camera', camera())];
  const [first, second] = await Promise.all(both);
  await answer();
  assert.equal(first, second);
  assert.equal(tracks().length, 1);
});

test('another camera is another publication, and each is replaced, muted and stopped for itself', async () => {
  const { media, told, answer, tracks, on } = await connected();
  const [front, top, later] = [camera(), camera(), camera()];
  const first = await media.publish('camera', front);
  const second = await media.publishAnother('camera', top);
  await answer();
  assert.deepEqual(tracks().map(({ source }) => source), ['camera', 'camera']);
  assert.deepEqual([first.id, second.id], [null, null]);
  name(media, tracks(), 'p');
  const [mid, other] = tracks().map((track) => track.mid);
  assert.deepEqual([first.id, second.id], [`p-${mid}`, `p-${other}`]);
  assert.equal(media.own(`p-${other}`), second);

  await second.mute(true);
  assert.deepEqual(told, [[`p-${other}`, true]]);
  assert.deepEqual([on(mid).sender.track, on(other).sender.track], [front, null]);
  assert.deepEqual([front.enabled, top.enabled], [true, false]);

  await second.replace(later);
  assert.deepEqual([on(other).sender.track, later.enabled], [null, false], 'what is muted stays so');
  await second.mute(false);
  assert.equal(on(other).sender.track, later);
  assert.deepEqual(told.at(-1), [`p-${other}`, false]);

  first.stop();
  await answer();
  assert.deepEqual([on(mid).stopped, on(other).stopped], [true, false]);
  assert.deepEqual(tracks(), [{ mid: other, source: 'camera' }]);
  assert.deepEqual(media.published, [second]);
  assert.equal(media.trackOf('camera'), null, 'the source has none of its own any more');
  await media.publish('camera', front);
  await answer();
  assert.equal(tracks().length, 2);
});

test('the encodings that are wanted are those of one m-line', async () => {
  const { media, answer, tracks, on } = await connected();
  await media.publish('camera', camera());
  await media.publishAnother('camera', camera());
  await answer();
  const [mid, other] = tracks().map((track) => track.mid);
  media.take({ type: 'encodings', mid: other, publication: 'p', wanted: [false, true, false] });
  await settled();
  const active = (of) => on(of).sender.encodings.map((encoding) => encoding.active);
  assert.deepEqual([active(mid), active(other)], [[true, true, true], [false, true, false]]);
});

test('an encoding that begins again takes more than usual for a moment, whatever is wanted meanwhile', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { media, answer, tracks, on } = await connected();
  await media.publish('camera', camera());
  await answer();
  const [{ mid }] = tracks();
  const want = async (...wanted) => {
    media.take({ type: 'encodings', mid, publication: 'p', wanted });
    await settled();
  };
  const rates = () => on(mid).sender.encodings.map((encoding) => encoding.maxBitrate);
  const usual = rates();
  const [most, ...others] = usual;
  await want(false, true, true);
  assert.deepEqual(rates(), usual, 'what pauses, or goes on, takes what it did');
  await want(true, true, true);
  assert.deepEqual(rates(), [3 * most, ...others]);
  t.mock.timers.tick(100);
  await want(false, true, true);
  await want(true, true, true);
  assert.deepEqual(rates(), [3 * most, ...others], 'not three times three');
  t.mock.timers.tick(50);
  await settled();
  assert.deepEqual(rates(), usual);
  t.mock.timers.tick(1_000);
  await settled();
  assert.deepEqual(rates(), usual);
  assert.deepEqual(on(mid).sender.encodings.map((encoding) => encoding.active), [true, true, true]);
});

test('a fresh connection publishes all of them again, and the room is told what was muted', async () => {
  const { media, told, answer, tracks } = await connected();
  const first = await media.publish('camera', camera());
  const second = await media.publishAnother('camera', camera());
  await answer();
  name(media, tracks(), 'p');
  await second.mute(true);
  told.length = 0;

  media.reconnected(false);
  assert.deepEqual([first.id, second.id], [null, null]);
  await answer();
  assert.equal(FakePeerConnection.all.length, 2);
  assert.equal(FakePeerConnection.last.transceivers.length, 2);
  // What the server says of the connection before comes late.
  name(media, tracks(), 'p');
  for (const { mid } of tracks()) media.ended(`p-${mid}`);
  assert.deepEqual([first.id, second.id], [null, null]);
  name(media, tracks(), 'q');
  assert.deepEqual([first, second].map(({ id }) => id), tracks().map(({ mid }) => `q-${mid}`));
  assert.deepEqual(told.at(-1), [second.id, true]);
});

test('what a host muted while nobody heard it is not sent on', async () => {
  const { media, told, answer, tracks } = await connected();
  const microphone = await media.publish('microphone', new FakeTrack('audio'));
  await answer();
  media.named({ id: 'p', mid: tracks()[0].mid, source: 'microphone', muted: true });
  assert.equal(microphone.sending, false);
  assert.deepEqual(told, []);
});

test('who may not send publishes nothing', async () => {
  const { media } = await connected(false);
  await assert.rejects(media.publish('camera', camera()), { code: 'not_allowed' });
  await assert.rejects(media.publishAnother('camera', camera()), { code: 'not_allowed' });
  assert.equal(media.trackOf('camera'), null);
});
