import { el, icon, initials } from '../shared/dom.js';

/**
 * Everybody's picture with their name; a click makes one large.
 * @param {import('/client/client.js').Room} room
 */
export function tileGrid(room) {
  const node = el('div', { class: 'tiles' });
  /** @type {Map<string, ReturnType<typeof tile>>} */
  const tiles = new Map();
  /** @type {string | null} */
  let large = null;

  function draw() {
    const present = [...room.state.present].sort((a, b) => rank(a) - rank(b));
    const here = new Set(present.map((p) => p.id));
    for (const [id, gone] of tiles) {
      if (here.has(id)) continue;
      gone.remove();
      tiles.delete(id);
    }
    if (large !== null && !here.has(large)) large = null;
    present.forEach((participant, index) => {
      let shown = tiles.get(participant.id);
      if (!shown) {
        shown = tile(room, participant.id, () => {
          large = large === participant.id ? null : participant.id;
          draw();
        });
        tiles.set(participant.id, shown);
      }
      if (node.children[index] !== shown.node) node.insertBefore(shown.node, node.children[index] ?? null);
      shown.draw(participant, large === participant.id);
    });
    node.dataset.count = String(Math.min(present.length, 13));
    node.toggleAttribute('data-large', large !== null);
  }

  /** The host first, then oneself, then the others as they came. @param {{id: string, role: string}} participant */
  function rank({ id, role }) {
    return role === 'host' ? 0 : id === room.me.id ? 1 : 2;
  }
  return { node, draw };
}

/**
 * @param {import('/client/client.js').Room} room
 * @param {string} id
 * @param {() => void} enlarge
 */
function tile(room, id, enlarge) {
  const mine = id === room.me.id;
  const video = el('video', { playsinline: true, autoplay: true, muted: true, 'aria-hidden': true });
  video.muted = true;
  const face = el('span', { class: 'face', 'aria-hidden': true });
  const name = el('span', { class: 'tile-name' });
  const marks = el('span', { class: 'tile-marks' });
  const node = el('figure', { class: mine ? 'tile mine' : 'tile', 'data-participant': id },
    video, face,
    el('button', { class: 'tile-button', type: 'button', onclick: enlarge }),
    el('figcaption', {}, name, marks));
  const button = /** @type {HTMLButtonElement} */ (node.querySelector('button'));
  /** @type {string | null} */
  let shown = null;

  return {
    node,
    /**
     * @param {{name: string, role: string}} participant
     * @param {boolean} large
     */
    draw(participant, large) {
      const camera = room.state.publicationOf(id, 'camera');
      const microphone = room.state.publicationOf(id, 'microphone');
      const visible = camera !== undefined && !camera.muted;
      if (mine) {
        const track = room.media.trackOf('camera');
        const current = /** @type {MediaStream | null} */ (video.srcObject)?.getTracks()[0] ?? null;
        if (current !== track) video.srcObject = track ? new MediaStream([track]) : null;
      } else if (shown !== (camera?.id ?? null)) {
        if (camera) room.show(camera.id, video);
        else room.hide(video);
        shown = camera?.id ?? null;
      }
      node.toggleAttribute('data-dark', mine ? room.media.isSending('camera') !== true : !visible);
      node.toggleAttribute('data-big', large);
      node.toggleAttribute('data-speaks', room.speakers.some(({ publication }) => publication === microphone?.id));
      face.textContent = initials(participant.name);
      name.textContent = mine ? `${participant.name} (you)` : participant.name;
      button.setAttribute('aria-pressed', String(large));
      button.setAttribute('aria-label', `Show ${participant.name} large`);
      const said = [];
      if (participant.role === 'host') said.push(el('span', { class: 'badge' }, 'Host'));
      if (room.state.hands.has(id)) {
        said.push(el('span', { class: 'badge hand', title: 'Raises a hand' }, icon('hand'), el('span', { class: 'for-reader' }, 'raises a hand')));
      }
      if (!microphone || microphone.muted) {
        said.push(el('span', { class: 'badge mute', title: 'Microphone off' }, icon('microphone', true), el('span', { class: 'for-reader' }, 'microphone off')));
      }
      if (!mine && camera && room.media.isPaused(camera.id)) {
        said.push(el('span', { class: 'badge', title: 'Your connection has no room for this picture just now' }, 'Paused'));
      }
      marks.replaceChildren(...said);
    },
    remove() {
      if (!mine) room.hide(video);
      node.remove();
    },
  };
}
