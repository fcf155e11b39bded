import { ask } from '../shared/ask.js';
import { el, icon } from '../shared/dom.js';

/**
 * The bar of buttons: microphone, camera, screen, hand, and for the host recording and the end.
 * @param {import('/client/client.js').Room} room
 * @param {import('./door.js').Tracks} tracks
 * @param {(action: Promise<unknown>) => void} attempt
 */
export function controlBar(room, tracks, attempt) {
  const host = room.me.may.administer;
  const microphone = button('mic', () => toggle('microphone'));
  const camera = button('cam', () => toggle('camera'));
  const screen = button('screen', () => {
    if (room.media.trackOf('screen')) room.unshareScreen();
    // Whoever changes their mind in the browser's dialog needs no word about it.
    else attempt(room.shareScreen().catch((error) => error.code === 'permission_denied' ? undefined : Promise.reject(error)));
  });
  const canShare = room.me.may.publish && 'getDisplayMedia' in (navigator.mediaDevices ?? {});
  const hand = button('hand', () => attempt(room.hand(!room.state.hands.has(room.me.id))));
  const record = button('record', () => attempt(room.record(room.state.recording?.state !== 'started')));
  const end = button('end', async () => {
    const question = { title: 'End the class?', text: 'It ends for everybody, and the recording stops.', yes: 'End the class' };
    if (await ask(question)) attempt(room.end());
  });
  const leave = button('leave', () => room.leave());
  const node = el('footer', { class: 'controls', 'aria-label': 'Controls' },
    microphone, camera, canShare ? screen : null, host ? null : hand, room.me.may.record ? record : null, host ? end : null, leave);

  /** @param {'camera' | 'microphone'} source */
  function toggle(source) {
    const publication = room.state.publicationOf(room.me.id, source);
    if (publication) attempt(room.mute(publication.id, room.media.isSending(source) === true));
  }

  function draw() {
    const devices = /** @type {const} */ ([[microphone, 'microphone', 'Mic'], [camera, 'camera', 'Camera']]);
    for (const [shown, source, label] of devices) {
      const on = tracks[source] !== null && room.media.isSending(source) === true;
      const ready = room.state.publicationOf(room.me.id, source) !== undefined;
      shown.disabled = !ready;
      face(shown, icon(source, !on), label, on);
      shown.setAttribute('aria-pressed', String(on));
      shown.title = tracks[source] === null ? `You came in without a ${source}` : `Turn your ${source} ${on ? 'off' : 'on'}`;
    }
    const sharing = room.media.trackOf('screen') !== null;
    face(screen, icon('screen'), sharing ? 'Stop sharing' : 'Share', sharing);
    screen.setAttribute('aria-pressed', String(sharing));
    screen.title = sharing ? 'Share your screen no longer' : 'Share your screen, a window or a tab';
    const raised = room.state.hands.has(room.me.id);
    face(hand, icon('hand'), raised ? 'Lower hand' : 'Raise hand', raised);
    const recording = room.state.recording?.state === 'started';
    face(record, icon('record'), recording ? 'Stop rec.' : 'Record', recording);
    face(end, icon('end'), 'End');
    face(leave, icon('leave'), 'Leave');
  }

  return { node, draw };
}

/**
 * @param {string} id
 * @param {() => void} onclick
 */
function button(id, onclick) {
  return el('button', { class: `control control-${id}`, id: `control-${id}`, type: 'button', onclick });
}

/**
 * @param {HTMLButtonElement} shown
 * @param {Node} picture
 * @param {string} label
 * @param {boolean} [on]
 */
function face(shown, picture, label, on) {
  shown.replaceChildren(picture, el('span', {}, label));
  if (on !== undefined) shown.dataset.on = String(on);
}
