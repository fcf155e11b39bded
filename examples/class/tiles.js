import { el, icon, initials } from '../shared/dom.js';

/**
 * Everybody's picture with their name, and shared screens; a click makes one large. A screen is large by itself, the newest one.
 * @param {import('/client/client.js').Room} room
 */
export function tileGrid(room) {
  const node = el('div', { class: 'tiles' });
  /** By participant, and by publication for screens. @type {Map<string, Tile>} */
  const tiles = new Map();
  /** What a click made large, null when it made that small again; undefined before any click. @type {string | null | undefined} */
  let chosen;
  /** @type {string | null} */
  let newest = null;
  /** @type {string | null} */
  let large = null;

  function draw() {
    const screens = [...room.state.publications.values()].filter(({ source }) => source === 'screen');
    const present = [...room.state.present].sort((a, b) => rank(a) - rank(b));
    const keys = [...screens.map(({ id }) => id), ...present.map(({ id }) => id)];
    for (const [key, gone] of tiles) {
      if (keys.includes(key)) continue;
      gone.remove();
      tiles.delete(key);
    }
    const latest = screens.at(-1)?.id ?? null;
    // Another screen is what everybody is to look at now.
    if (latest !== newest || (chosen && !keys.includes(chosen))) chosen = undefined;
    newest = latest;
    large = chosen === undefined ? newest : chosen;
    const place = (/** @type {string} */ key, /** @type {() => Tile} */ make) => {
      const shown = tiles.get(key) ?? make();
      tiles.set(key, shown);
      const index = keys.indexOf(key);
      if (node.children[index] !== shown.node) node.insertBefore(shown.node, node.children[index] ?? null);
      return shown;
    };
    const enlarge = (/** @type {string} */ key) => () => {
      chosen = large === key ? null : key;
      draw();
    };
    for (const { id, participant } of screens) {
      const name = room.state.participants.get(participant)?.name ?? 'Somebody';
      place(id, () => screenTile(room, id, enlarge(id))).draw({ name, role: '' }, large === id);
    }
    for (const participant of present) {
      place(participant.id, () => tile(room, participant.id, enlarge(participant.id))).draw(participant, large === participant.id);
    }
    node.dataset.count = String(Math.min(keys.length, 13));
    node.toggleAttribute('data-large', large !== null);
    room.spotlight(large === null ? null : (tiles.get(large)?.publication() ?? null));
  }

  /** The host first, then oneself, then the others as they came. @param {{id: string, role: string}} participant */
  function rank({ id, role }) {
    return role === 'host' ? 0 : id === room.me.id ? 1 : 2;
  }
  return { node, draw };
}

/**
 * @typedef {object} Tile
 * @property {HTMLElement} node
 * @property {(participant: {name: string, role: string}, large: boolean) => void} draw
 * @property {() => string | null} publication what it shows of somebody else, or would
 * @property {() => void} remove
 */

/**
 * A shared screen, all of it.
 * @param {import('/client/client.js').Room} room
 * @param {string} publication
 * @param {() => void} enlarge
 * @returns {Tile}
 */
function screenTile(room, publication, enlarge) {
  const mine = room.state.publications.get(publication)?.participant === room.me.id;
  const video = el('video', { playsinline: true, autoplay: true, muted: true, 'aria-hidden': true });
  video.muted = true;
  const name = el('span', { class: 'tile-name' });
  const button = el('button', { class: 'tile-button', type: 'button', onclick: enlarge });
  const node = el('figure', { class: 'tile screen', 'data-screen': publication }, video, button, el('figcaption', {}, name));
  if (!mine) room.show(publication, video);
  return {
    node,
    draw(participant, large) {
      const track = mine ? room.media.trackOf('screen') : null;
      const current = /** @type {MediaStream | null} */ (video.srcObject)?.getTracks()[0] ?? null;
      if (mine && current !== track) video.srcObject = track ? new MediaStream([track]) : null;
      node.toggleAttribute('data-big', large);
      name.textContent = mine ? 'Your screen' : `${participant.name}’s screen`;
      button.setAttribute('aria-pressed', String(large));
      button.setAttribute('aria-label', mine ? 'Show your screen large' : `Show ${participant.name}’s screen large`);
    },
    publication: () => (mine ? null : publication),
    remove() {
      if (!mine) room.hide(video);
      node.remove();
    },
  };
}

/**
 * @param {import('/client/client.js').Room} room
 * @param {string} id
 * @param {() => void} enlarge
 * @returns {Tile}
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
    publication: () => (mine ? null : shown),
    remove() {
      if (!mine) room.hide(video);
      node.remove();
    },
  };
}
