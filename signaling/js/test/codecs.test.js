import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { receivable, requireFormat, sendable, sound } from '../src/codecs.js';
import { encodingsFor } from '../src/encodings.js';

const codec = (mimeType, sdpFmtpLine) => ({ mimeType, clockRate: 90_000, sdpFmtpLine });
const VP8 = codec('video/VP8');
const VP9 = codec('video/VP9', 'profile-id=0');
const VP9_10_BIT = codec('video/VP9', 'profile-id=2');
const BASELINE = codec('video/H264', 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f');
const CONSTRAINED = codec('video/H264', 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42E01F');
const SINGLE_NAL = codec('video/H264', 'level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f');
const PREDICTIVE = codec('video/H264', 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=f4001f');
const AV1 = codec('video/AV1', 'level-idx=5;profile=0;tier=0');
const AV1_HIGH = codec('video/AV1', 'level-idx=5;profile=1;tier=0');
const RTX = codec('video/rtx');
const ULPFEC = codec('video/ulpfec');
const ALL = [VP8, RTX, VP9_10_BIT, VP9, BASELINE, SINGLE_NAL, CONSTRAINED, PREDICTIVE, AV1_HIGH, AV1, ULPFEC];

beforeEach(() => has(ALL, ['L1T2', 'L3T3_KEY']));
afterEach(() => {
  delete globalThis.RTCRtpSender;
  delete globalThis.RTCPeerConnection;
});

/**
 * A browser with these codecs, the last of which knows these modes.
 */
function has(codecs, modes, taken = (mode) => mode) {
  globalThis.open = 0;
  globalThis.RTCRtpSender = { getCapabilities: () => ({ codecs }) };
  globalThis.RTCPeerConnection = class {
    constructor() {
      globalThis.open += 1;
    }
    addTransceiver(_, { sendEncodings: [{ codec, scalabilityMode }] }) {
      if (!modes.includes(scalabilityMode) || codec === VP8) throw new DOMException('', 'OperationError');
      return { sender: { getParameters: () => ({ encodings: [{ scalabilityMode: taken(scalabilityMode) }] }) } };
    }
    close() {
      globalThis.open -= 1;
    }
  };
}

test('a video is offered in one codec and one profile, the one that everybody decodes', () => {
  assert.deepEqual(sendable(ALL, 'vp8'), [VP8, RTX]);
  assert.deepEqual(sendable(ALL, 'vp9'), [VP9, RTX]);
  assert.deepEqual(sendable(ALL, 'h264'), [CONSTRAINED, RTX]);
  assert.deepEqual(sendable(ALL.filter((one) => one !== CONSTRAINED), 'h264'), [BASELINE, RTX]);
  assert.deepEqual(sendable(ALL, 'av1'), [AV1, RTX]);
  assert.deepEqual(sendable([VP8, RTX, AV1_HIGH], 'av1'), []);
});

test('a slot takes all that others may send, and nothing else', () => {
  assert.deepEqual(receivable(ALL), [VP8, RTX, VP9, BASELINE, CONSTRAINED, AV1]);
  const opus = codec('audio/opus');
  const red = codec('audio/red');
  const audio = [codec('audio/PCMU'), opus, red];
  assert.deepEqual(sound(audio, true), [red, opus], 'preferred where it is wished');
  assert.deepEqual(sound(audio, false), [opus]);
});

test('what a browser lacks is refused by name', () => {
  requireFormat({ codec: 'h264', layers: 'simulcast' });
  assert.throws(() => requireFormat({ codec: /** @type {any} */ ('constructor'), layers: 'simulcast' }), { code: 'unsupported_codec' });
  has([VP8, RTX, AV1_HIGH], []);
  assert.throws(() => requireFormat({ codec: 'av1', layers: 'simulcast' }), { code: 'unsupported_codec', message: /AV1/ });
  requireFormat({ codec: 'vp8', layers: 'simulcast' });
});

test('layers are refused that the codec does not have, or that the browser quietly leaves out', () => {
  requireFormat({ codec: 'vp9', layers: 'L3T3_KEY' });
  for (const layers of ['L2T2', 'S3T3', 'L4T1', 'L1T2 ', 'all']) {
    assert.throws(() => requireFormat({ codec: 'vp9', layers }), { code: 'unsupported_layers' }, layers);
  }
  assert.throws(() => requireFormat({ codec: 'vp8', layers: 'L3T3_KEY' }), { code: 'unsupported_layers', message: /VP8.*L3T3_KEY/ });
  has(ALL, ['L1T2'], () => undefined);
  assert.throws(() => requireFormat({ codec: 'av1', layers: 'L1T2' }), { code: 'unsupported_layers' });
  assert.equal(globalThis.open, 0, 'no connection is left behind');
});

test('simulcast is streams of half the size each, layers are one stream that costs what they do', () => {
  const rates = (encodings) => encodings.map(({ maxBitrate }) => maxBitrate);
  const vp8 = encodingsFor(720);
  assert.deepEqual(vp8.map(({ rid, scaleResolutionDownBy }) => [rid, scaleResolutionDownBy]), [['h', 1], ['m', 2], ['l', 4]]);
  assert.ok(vp8.every((one) => !('scalabilityMode' in one)));
  const av1 = encodingsFor(720, { codec: 'av1', layers: 'simulcast' });
  assert.deepEqual(av1.map(({ rid, scalabilityMode }) => [rid, scalabilityMode]), [['h', 'L1T3'], ['m', 'L1T3'], ['l', 'L1T3']]);
  const [svc, ...others] = encodingsFor(720, { codec: 'vp9', layers: 'L3T3_KEY' });
  assert.deepEqual(others, []);
  assert.equal(svc.scalabilityMode, 'L3T3_KEY');
  assert.equal(svc.maxBitrate, rates(vp8).reduce((sum, rate) => sum + rate));
  assert.ok(!('rid' in svc), 'a stream of its own needs no name');
  assert.deepEqual(rates(encodingsFor(720, { codec: 'av1', layers: 'L1T2' })), [rates(vp8)[0]]);
});
