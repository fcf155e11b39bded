/**
 * What runs inside the pages. Each function is sent there whole, so it refers to nothing outside itself.
 */

/**
 * Sends media to `port` in place of the one the server names. Runs before anything else in the page.
 * @param {number} port
 */
export function passThroughPort(port) {
  const { setRemoteDescription } = RTCPeerConnection.prototype;
  RTCPeerConnection.prototype.setRemoteDescription = function (description) {
    const sdp = description?.sdp?.replace(/(a=candidate:\S+ \d+ \S+ \d+ \S+ )\d+/g, `$1${port}`);
    return setRemoteDescription.call(this, { ...description, sdp });
  };
}

/**
 * Joins, publishes a moving picture, and measures.
 * @param {{token: string, width: number, height: number, sampleMs: number}} options
 * @returns {Promise<string>} the participant's id
 */
export async function publish({ token, width, height, sampleMs }) {
  const { join } = await import('/client/client.js');
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width, height });
  const context = canvas.getContext('2d', { alpha: false });
  const texture = new OffscreenCanvas(width * 1.5, height * 1.5);
  const paint = texture.getContext('2d');
  for (let blob = 0; blob < 700; blob += 1) {
    paint.fillStyle = `hsl(${(blob * 137) % 360} 50% ${30 + (blob % 40)}%)`;
    const size = 30 + ((blob * 7919) % 90);
    paint.fillRect((blob * 104729) % texture.width, (blob * 15485863) % texture.height, size, size);
  }
  const [track] = canvas.captureStream(0).getVideoTracks();
  // Always as fast, so that every second takes as many bits. A picture is captured when it is painted: a capture with a clock of its own, of 33.3 ms, left
  // out every other one for a second of every three.
  const swing = (way, most) => most - Math.abs((way % (2 * most)) - most);
  setInterval(() => {
    const time = performance.now() / 1000;
    context.drawImage(texture, -swing(time * 70, texture.width - width), -swing(time * 50, texture.height - height));
    context.fillStyle = 'white';
    context.fillRect(((time % 3) / 3) * width, height / 2, 40, 40);
    track.requestFrame();
  }, 33);
  document.body.replaceChildren(canvas);

  const room = await join({ token, name: 'publisher' });
  const begun = performance.timeOrigin + performance.now();
  await room.media.publish('camera', track);
  const samples = [];
  setInterval(async () => {
    const report = await room.media.connection?.getStats();
    const sample = { at: performance.timeOrigin + performance.now(), available: 0, roundTrip: 0, encodings: [] };
    for (const entry of report?.values() ?? []) {
      if (entry.type === 'candidate-pair' && entry.nominated) {
        sample.available = entry.availableOutgoingBitrate ?? 0;
        sample.roundTrip = (entry.currentRoundTripTime ?? 0) * 1000;
      } else if (entry.type === 'outbound-rtp' && entry.kind === 'video') {
        const { rid = '', active = true, packetsSent, bytesSent, frameHeight = 0, nackCount = 0, pliCount = 0, qualityLimitationReason = '', framesEncoded = 0, keyFramesEncoded = 0 } = entry;
        sample.encodings.push({ rid, active, packetsSent, bytesSent, frameHeight, nackCount, pliCount, limited: qualityLimitationReason, framesEncoded, keyFramesEncoded });
      }
    }
    samples.push(sample);
  }, sampleMs);
  Object.assign(globalThis, { room, collect: () => ({ begun, samples, frames: [], states: [] }) });
  return room.me.id;
}

/**
 * Joins, shows every camera, the first in an element of this height and all others in small ones, and measures.
 * @param {{token: string, height: number, sampleMs: number}} options
 * @returns {Promise<string>} the participant's id
 */
export async function watch({ token, height, sampleMs }) {
  const { join } = await import('/client/client.js');
  const begun = performance.timeOrigin + performance.now();
  const frames = [];
  const samples = [];
  const states = [];
  const room = await join({ token, name: 'watcher' });
  const show = ({ id, kind, participant }) => {
    if (kind !== 'video' || participant === room.me.id) return;
    const first = document.querySelector('video') === null;
    const element = document.createElement('video');
    Object.assign(element, { muted: true, autoplay: true, playsInline: true });
    const shown = first ? height : 90;
    Object.assign(element.style, { width: `${(shown * 16) / 9}px`, height: `${shown}px` });
    document.body.append(element);
    room.show(id, element);
    if (!first) return;
    const note = (_now, { height: of }) => {
      frames.push({ at: performance.timeOrigin + performance.now(), height: of });
      element.requestVideoFrameCallback(note);
    };
    element.requestVideoFrameCallback(note);
  };
  document.body.replaceChildren();
  room.addEventListener('media', ({ detail }) => states.push({ at: performance.timeOrigin + performance.now(), state: detail }));
  room.addEventListener('published', ({ detail }) => show(detail.publication));
  for (const publication of room.state.publications.values()) show(publication);
  void room.media;
  setInterval(async () => {
    const report = await room.media.connection?.getStats();
    const sample = { at: performance.timeOrigin + performance.now(), slots: [] };
    for (const entry of report?.values() ?? []) {
      if (entry.type !== 'inbound-rtp' || entry.kind !== 'video' || !entry.packetsReceived) continue;
      const { mid, packetsReceived, packetsLost, bytesReceived, retransmittedPacketsReceived = 0, nackCount = 0, pliCount = 0, framesDecoded = 0, framesDropped = 0, freezeCount = 0, totalFreezesDuration = 0, frameHeight = 0, jitterBufferDelay = 0, jitterBufferEmittedCount = 0 } = entry;
      sample.slots.push({ mid, packetsReceived, packetsLost, bytesReceived, retransmittedPacketsReceived, nackCount, pliCount, framesDecoded, framesDropped, freezeCount, totalFreezesDuration, frameHeight, jitterBufferDelay, jitterBufferEmittedCount });
    }
    samples.push(sample);
  }, sampleMs);
  Object.assign(globalThis, { room, collect: () => ({ begun, frames, samples, states }) });
  return room.me.id;
}

/**
 * Shows the first picture this tall from now on.
 * @param {number} height in CSS pixels
 * @returns {number} when
 */
export function resize(height) {
  const element = document.querySelector('video');
  Object.assign(element.style, { width: `${(height * 16) / 9}px`, height: `${height}px` });
  return performance.timeOrigin + performance.now();
}
