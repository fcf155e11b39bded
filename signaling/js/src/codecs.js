/**
 * What is sent and received in: the codecs of a browser that are of use, and whether it has the one that is wished for.
 */
import { SimmerError } from './errors.js';

/**
 * @typedef {'vp8' | 'vp9' | 'h264' | 'av1'} VideoCodec
 *
 * How a video is published.
 * @typedef {object} PublishOptions
 * @property {VideoCodec} [codec] what it is encoded with; `vp8` by default
 * @property {string} [layers] `simulcast` (by default): each size as a stream of its own. Or a scalability mode of WebRTC-SVC that begins with `L`,
 *   as `L3T3_KEY` or `L1T2`: one stream with all sizes and frame rates in it, which costs the publisher's line less
 *
 * @typedef {Required<PublishOptions>} VideoFormat
 */

/** @type {VideoFormat} */
export const USUAL = { codec: 'vp8', layers: 'simulcast' };

/**
 * Makes sure that this browser can send a video so; throws a `SimmerError` `unsupported_codec` or `unsupported_layers` when it cannot.
 * @param {VideoFormat} format
 */
export function requireFormat({ codec, layers }) {
  if (!Object.hasOwn(PROFILES, codec)) throw new SimmerError('unsupported_codec', `There is no video codec '${codec}' here.`);
  const name = codec.toUpperCase();
  const capabilities = RTCRtpSender.getCapabilities?.('video');
  const found = capabilities && sendable(capabilities.codecs, codec)[0];
  // A browser that does not tell what it has is taken to have what every one has.
  if (!found && (capabilities || codec !== 'vp8')) {
    throw new SimmerError('unsupported_codec', `This browser cannot send ${name}.`);
  }
  if (layers === 'simulcast') return;
  if (!SCALABILITY_MODE.test(layers) || !hasMode(found, layers)) {
    throw new SimmerError('unsupported_layers', `This browser cannot send ${name} with the layers '${layers}'.`);
  }
}

/**
 * Of a browser's list, what sound is offered in, both ways.
 * @param {RTCRtpCodec[]} codecs
 * @param {boolean} redundant whether each packet is to carry the one before it once more
 */
export function sound(codecs, redundant) {
  const named = (/** @type {string} */ name) => codecs.filter((codec) => nameOf(codec) === name);
  return [...(redundant ? named('red') : []), ...named('opus')];
}

/**
 * Of a browser's list, what a video track is offered in: one codec and what goes with it.
 * @param {RTCRtpCodec[]} codecs
 * @param {VideoCodec} codec
 */
export function sendable(codecs, codec) {
  const rtx = codecs.filter(({ mimeType }) => /\/rtx$/i.test(mimeType));
  const [profile] = PROFILES[codec].flatMap((fits) => codecs.filter((one) => nameOf(one) === codec && fits(one)).slice(0, 1));
  return profile ? [profile, ...rtx] : [];
}

/**
 * Of a browser's list, what a slot for video is offered in: whatever others may send, and no more, since it is offered once for each slot.
 * @param {RTCRtpCodec[]} codecs
 */
export function receivable(codecs) {
  return codecs.filter((one) => {
    const name = nameOf(one);
    if (name === 'rtx') return true;
    return Object.hasOwn(PROFILES, name) && PROFILES[/** @type {VideoCodec} */ (name)].some((fits) => fits(one));
  });
}

/**
 * A browser tells by trying only.
 * @param {RTCRtpCodec | undefined | null} codec
 * @param {string} scalabilityMode
 */
function hasMode(codec, scalabilityMode) {
  const pc = new RTCPeerConnection();
  try {
    const encoding = /** @type {RTCRtpEncodingParameters} */ ({ scalabilityMode, ...(codec ? { codec } : {}) });
    const { sender } = pc.addTransceiver('video', { direction: 'sendonly', sendEncodings: [encoding] });
    const [taken] = /** @type {{scalabilityMode?: string}[]} */ (sender.getParameters().encodings);
    return taken?.scalabilityMode === scalabilityMode;
  } catch {
    return false;
  } finally {
    pc.close();
  }
}

/** @param {RTCRtpCodec} codec */
function nameOf({ mimeType }) {
  return mimeType.replace(/^.*\//, '').toLowerCase();
}

/**
 * @param {RTCRtpCodec} codec
 * @param {string} name
 */
function parameter({ sdpFmtpLine = '' }, name) {
  const found = sdpFmtpLine.split(';').map((one) => one.trim().toLowerCase().split('=')).find(([key]) => key === name);
  return found?.[1];
}

/** @type {(prefix: string) => (codec: RTCRtpCodec) => boolean} */
const h264 = (prefix) => (codec) =>
  parameter(codec, 'packetization-mode') === '1' && (parameter(codec, 'profile-level-id') ?? '').startsWith(prefix);

/**
 * The profiles that browsers decode, the one to send in first.
 * @type {Record<VideoCodec, ((codec: RTCRtpCodec) => boolean)[]>}
 */
const PROFILES = {
  vp8: [() => true],
  vp9: [(codec) => (parameter(codec, 'profile-id') ?? '0') === '0'],
  // Constrained Baseline, which all others include; Baseline, Main and the High ones.
  h264: [h264('42e0'), h264('42'), h264('4d'), h264('64')],
  av1: [(codec) => (parameter(codec, 'profile') ?? '0') === '0'],
};

const SCALABILITY_MODE = /^L[1-3]T[1-3](h|_KEY|_KEY_SHIFT)?$/;
