/**
 * Which encodings a camera is published in: one to three, by the size of its picture.
 */

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
 * @returns {RTCRtpEncodingParameters[]}
 */
export function encodingsFor(height) {
  const rids = height >= THREE_FROM ? ['h', 'm', 'l'] : height >= TWO_FROM ? ['h', 'm'] : [];
  if (rids.length === 0) return [{ maxBitrate: rateFor(height) }];
  return rids.map((rid, index) => {
    const scaleResolutionDownBy = 2 ** index;
    return { rid, scaleResolutionDownBy, maxBitrate: rateFor(height / scaleResolutionDownBy) };
  });
}

/** @param {number} height */
function rateFor(height) {
  const row = RATES.find(([from]) => height >= from);
  return row ? row[1] : RATES[RATES.length - 1][1];
}
