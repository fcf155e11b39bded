/**
 * Which encodings a camera is published in: one to three, by the size of its picture.
 */
import { USUAL } from './codecs.js';

/** Bits per second that VP8 makes good use of, by height at 16:9 and 30 frames a second. */
const RATES = /** @type {const} */ ([
  [1080, 2_800_000],
  [720, 1_600_000],
  [540, 1_000_000],
  [360, 550_000],
  [270, 320_000],
  [180, 160_000],
  [0, 110_000],
]);

/** The least height the largest picture needs for a half and a quarter to be worth sending too. */
const THREE_FROM = 540;
const TWO_FROM = 300;

/**
 * The encodings of a picture `height` tall, the largest first (`docs/protocol.md` section 3).
 * @param {number} height in pixels
 * @param {import('./codecs.js').VideoFormat} [format]
 * @returns {RTCRtpEncodingParameters[]}
 */
export function encodingsFor(height, { codec, layers } = USUAL) {
  if (layers !== 'simulcast') {
    const sizes = Array.from({ length: Number(layers[1]) }, (_, index) => height / 2 ** index);
    return [encoding({ maxBitrate: sizes.reduce((sum, size) => sum + rateFor(size), 0) }, layers)];
  }
  // Without a mode Chromium makes one stream with spatial layers of several encodings in VP9.
  const mode = codec === 'vp9' || codec === 'av1' ? 'L1T3' : undefined;
  const rids = height >= THREE_FROM ? ['h', 'm', 'l'] : height >= TWO_FROM ? ['h', 'm'] : [];
  if (rids.length === 0) return [encoding({ maxBitrate: rateFor(height) }, mode)];
  return rids.map((rid, index) => {
    const scaleResolutionDownBy = 2 ** index;
    return encoding({ rid, scaleResolutionDownBy, maxBitrate: rateFor(height / scaleResolutionDownBy) }, mode);
  });
}

/**
 * @param {RTCRtpEncodingParameters} parameters
 * @param {string | undefined} scalabilityMode
 */
function encoding(parameters, scalabilityMode) {
  return scalabilityMode === undefined ? parameters : { ...parameters, scalabilityMode };
}

/** @param {number} height */
function rateFor(height) {
  const row = RATES.find(([from]) => height >= from);
  return row ? row[1] : RATES[RATES.length - 1][1];
}
