/**
 * What a transceiver offers: header extensions and codecs.
 */

export const RID = 'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id';
export const REPAIRED_RID = 'urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id';
export const DEPENDENCY = 'https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension';

/**
 * Offers header extensions that the browser would not by itself. Chromium gives a new transceiver what was agreed on for those before it: without this,
 * simulcast could not begin beside slots, which have no use for rids.
 * @param {RTCRtpTransceiver} transceiver
 * @param {string[]} uris
 */
export function allow(transceiver, uris) {
  const own = /** @type {RTCRtpTransceiver & Partial<HeaderExtensionControl>} */ (transceiver);
  const extensions = own.getHeaderExtensionsToNegotiate?.() ?? [];
  for (const extension of extensions) {
    if (uris.includes(extension.uri)) extension.direction = 'sendrecv';
  }
  if (extensions.length > 0) own.setHeaderExtensionsToNegotiate?.(extensions);
}

/**
 * RTP Header Extension Control (W3C), which TypeScript does not know.
 * @typedef {{uri: string, direction: RTCRtpTransceiverDirection}} HeaderExtension
 * @typedef {object} HeaderExtensionControl
 * @property {() => HeaderExtension[]} getHeaderExtensionsToNegotiate
 * @property {(extensions: HeaderExtension[]) => void} setHeaderExtensionsToNegotiate
 */

/**
 * A narrow offer is a small one.
 * @param {RTCRtpTransceiver} transceiver
 * @param {RTCRtpCodec[]} codecs
 */
export function prefer(transceiver, codecs) {
  if (codecs.length > 0) transceiver.setCodecPreferences?.(codecs);
}
