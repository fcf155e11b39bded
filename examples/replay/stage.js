import { el, initials } from '../shared/dom.js';

/**
 * One tile per participant, with whatever was recorded of them at the time.
 * @param {{id: string, name: string, role: string}[]} participants
 * @param {import('./track.js').Track[]} tracks
 */
export function stage(participants, tracks) {
  const tiles = participants.map((participant) => {
    const own = tracks.filter((track) => track.entry.participant === participant.id);
    const pictures = own.filter((track) => track.entry.kind === 'video');
    const node = el('figure', { class: 'tile', 'data-participant': participant.id },
      ...own.map((track) => track.element),
      el('span', { class: 'face', 'aria-hidden': 'true' }, initials(participant.name)),
      el('figcaption', {}, el('span', { class: 'tile-name' }, participant.name),
        el('span', { class: 'tile-marks' }, participant.role === 'host' ? el('span', { class: 'badge' }, 'Host') : null)));
    return { node, pictures };
  });
  const node = el('section', { class: 'tiles', 'data-count': Math.min(13, tiles.length), 'aria-label': 'Everybody in the class' },
    ...tiles.map((tile) => tile.node));

  /** @param {number} at */
  function draw(at) {
    for (const tile of tiles) {
      const shown = tile.pictures.find((track) => track.covers(at));
      tile.node.toggleAttribute('data-dark', shown === undefined);
      for (const track of tile.pictures) track.element.hidden = track !== shown;
    }
  }
  return { node, draw };
}
