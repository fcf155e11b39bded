/**
 * Sharing a screen, a window or a tab: sharp rather than smooth.
 */
import { SimmerError } from './errors.js';

/** Text is to be read; nothing on a screen needs more pictures a second. */
const FRAME_RATE = 15;

/**
 * @typedef {object} Shared
 * @property {MediaStreamTrack} picture
 * @property {MediaStreamTrack | null} sound where the browser offers it, and the person agrees
 */

/**
 * Asks which screen, window or tab to share; from a click only. Rejects with a `SimmerError`: `permission_denied` when the person shares nothing,
 * `capture_unavailable` where the browser cannot.
 * @param {DisplayMediaStreamOptions} [options] what else the browser should know, e.g. `{ audio: false }`
 * @returns {Promise<Shared>}
 */
export async function captureScreen(options = {}) {
  if (!navigator.mediaDevices?.getDisplayMedia) {
    throw new SimmerError('capture_unavailable', 'This browser cannot share a screen.');
  }
  try {
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: FRAME_RATE } }, audio: true, ...options });
    const [picture] = stream.getVideoTracks();
    picture.contentHint ||= 'detail';
    return { picture, sound: stream.getAudioTracks()[0] ?? null };
  } catch (error) {
    const denied = error instanceof DOMException && error.name === 'NotAllowedError';
    throw denied
      ? new SimmerError('permission_denied', 'No screen was shared.', { cause: error })
      : new SimmerError('capture_unavailable', 'The screen could not be shared.', { cause: error });
  }
}

/**
 * The encodings of a screen, the largest first: as it is, and half as high for small places and narrow connections.
 * @returns {RTCRtpEncodingParameters[]}
 */
export function screenEncodings() {
  return [
    { rid: 'h', scaleResolutionDownBy: 1, maxBitrate: 2_500_000, maxFramerate: FRAME_RATE },
    { rid: 'l', scaleResolutionDownBy: 2, maxBitrate: 500_000, maxFramerate: FRAME_RATE },
  ];
}
