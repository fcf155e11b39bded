/**
 * Camera and microphone, with the browser's many refusals turned into a few plain ones.
 */
import { SimmerError } from './errors.js';

/**
 * What a device was asked for: true for the usual one, a device id, or false for none.
 * @typedef {boolean | string} Wish
 *
 * @typedef {object} Captured
 * @property {MediaStreamTrack | null} camera
 * @property {MediaStreamTrack | null} microphone
 * @property {SimmerError[]} problems why one that was wished for is not there
 */

/**
 * Opens camera and microphone. Never rejects: what cannot be had is null, and `problems` says why.
 * @param {{camera?: Wish, microphone?: Wish, height?: number}} wishes
 * @returns {Promise<Captured>}
 */
export async function capture({ camera = true, microphone = true, height = 720 }) {
  const video = camera === false ? undefined : videoConstraints(camera, height);
  const audio = microphone === false ? undefined : audioConstraints(microphone);
  /** @type {Captured} */
  const captured = { camera: null, microphone: null, problems: [] };
  if (video && audio) {
    try {
      const stream = await open({ video, audio });
      captured.camera = stream.getVideoTracks()[0] ?? null;
      captured.microphone = stream.getAudioTracks()[0] ?? null;
      return captured;
    } catch {
      // One of the two may still be had, and asking singly tells which one is missing.
    }
  }
  if (video) {
    try {
      captured.camera = (await open({ video })).getVideoTracks()[0] ?? null;
    } catch (error) {
      captured.problems.push(explain(error, 'camera'));
    }
  }
  if (audio) {
    try {
      captured.microphone = (await open({ audio })).getAudioTracks()[0] ?? null;
    } catch (error) {
      captured.problems.push(explain(error, 'microphone'));
    }
  }
  return captured;
}

/** The cameras and microphones there are; names are empty until one has been allowed. */
export async function devices() {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return {
    cameras: all.filter((d) => d.kind === 'videoinput' && d.deviceId),
    microphones: all.filter((d) => d.kind === 'audioinput' && d.deviceId),
  };
}

/** @param {MediaStreamConstraints} constraints */
async function open(constraints) {
  if (!navigator.mediaDevices) throw new DOMException('', 'SecurityError');
  return navigator.mediaDevices.getUserMedia(constraints);
}

/**
 * @param {true | string} wish
 * @param {number} height
 * @returns {MediaTrackConstraints}
 */
function videoConstraints(wish, height) {
  const width = Math.round((height * 16) / 9);
  const size = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: 30, max: 30 } };
  return wish === true ? size : { ...size, deviceId: { exact: wish } };
}

/**
 * @param {true | string} wish
 * @returns {MediaTrackConstraints}
 */
function audioConstraints(wish) {
  const usual = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  return wish === true ? usual : { ...usual, deviceId: { exact: wish } };
}

/**
 * @param {unknown} error
 * @param {'camera' | 'microphone'} device
 */
function explain(error, device) {
  const name = error instanceof DOMException ? error.name : '';
  const cause = { cause: error };
  switch (name) {
    case 'NotAllowedError':
      return new SimmerError(
        'permission_denied',
        `The browser may not use your ${device}. Allow it beside the address and try again.`,
        cause,
      );
    case 'NotFoundError':
    case 'OverconstrainedError':
      return new SimmerError('no_device', `No ${device} was found.`, cause);
    case 'NotReadableError':
    case 'AbortError':
      return new SimmerError('device_busy', `Another program is using your ${device}.`, cause);
    case 'SecurityError':
      return new SimmerError('capture_unavailable', `A ${device} needs a secure page (https or localhost).`, cause);
    default:
      return new SimmerError('device_busy', `Your ${device} did not start.`, cause);
  }
}
