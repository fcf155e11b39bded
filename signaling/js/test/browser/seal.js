/**
 * A worker that stands where a browser hands over what it has encoded, and what it is going to decode (`RTCRtpScriptTransform`). With a key it turns over the
 * contents of each picture, there and back alike; it counts what came by by its type, and tells when it is asked.
 */

/** How many of each type. @type {Record<string, number>} */
const types = {};

onmessage = () => postMessage(types);

onrtctransform = ({ transformer: { readable, writable, options: { key } } }) => {
  const seal = new TransformStream({
    transform(frame, controller) {
      const { mimeType } = frame.getMetadata();
      types[mimeType] = (types[mimeType] ?? 0) + 1;
      if (key !== undefined && frame instanceof RTCEncodedVideoFrame) {
        const bytes = new Uint8Array(frame.data);
        for (const [from, to] of mimeType === 'video/AV1' ? units(bytes) : [[0, bytes.length]]) {
          for (let at = from; at < to; at += 1) bytes[at] ^= key;
        }
        frame.data = bytes.buffer;
      }
      controller.enqueue(frame);
    },
  });
  void readable.pipeThrough(seal).pipeTo(writable);
};

/**
 * Where the units of AV1 are that carry pictures, without their headers and sizes (AV1 specification section 5.3): by those the browser cuts packets.
 * @param {Uint8Array} bytes
 */
function units(bytes) {
  /** @type {[number, number][]} */
  const found = [];
  for (let at = 0; at < bytes.length;) {
    const kind = (bytes[at] >> 3) & 15;
    const [extended, sized] = [bytes[at] & 4, bytes[at] & 2];
    at += extended ? 2 : 1;
    let size = 0;
    for (let shift = 0; sized; shift += 7) {
      const octet = bytes[at];
      at += 1;
      size |= (octet & 127) << shift;
      if (octet < 128) break;
    }
    const end = sized ? at + size : bytes.length;
    if (kind === FRAME) found.push([at, end]);
    at = end;
  }
  return found;
}

const FRAME = 6;
