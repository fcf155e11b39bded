/**
 * The class itself: everybody's picture, the steps, the chat and, for the host, who is where.
 */
import { SimmerError } from '/client/client.js';
import { byId, el } from '../shared/dom.js';
import { chatPanel } from './chat.js';
import { controlBar } from './controls.js';
import { linkField } from './entrance.js';
import { overviewPanel } from './overview.js';
import { stepsPanel } from './steps.js';
import { linkTo } from './ticket.js';
import { tileGrid } from './tiles.js';

/** @typedef {import('/client/client.js').Room} Room */

/**
 * Shows the class until it is over for this participant.
 * @param {HTMLElement} screen
 * @param {Room} room
 * @param {{ticket: import('./ticket.js').Ticket, tracks: import('./door.js').Tracks}} given
 * @returns {Promise<{reason: SimmerError, session: string | null}>}
 */
export async function showKitchen(screen, room, { ticket, tracks }) {
  const host = room.me.may.administer;
  const attempt = (/** @type {Promise<unknown>} */ action) => void action.catch((error) => toast(error.message));
  const tiles = tileGrid(room);
  const steps = stepsPanel(room, attempt);
  const chat = chatPanel(room, attempt);
  const overview = host ? overviewPanel(room, attempt) : null;
  const controls = controlBar(room, tracks, attempt);
  const status = el('p', { class: 'banner', role: 'status', 'aria-live': 'polite', hidden: true });
  const hear = el('button', { class: 'banner tap', hidden: true, onclick: () => void room.media.audio.unblock() },
    'Tap here to hear the class');
  const badge = el('span', { class: 'badge recording', hidden: true }, 'Recording');
  const count = el('span', { class: 'quiet-text' });
  const heading = el('h1', { class: 'kitchen-title', tabindex: '-1' }, 'Cooking class');

  const panels = [
    { id: 'steps', title: 'Steps', node: steps.node },
    ...(overview ? [{ id: 'overview', title: 'Progress', node: overview.node }] : []),
    { id: 'chat', title: 'Chat', node: chat.node },
  ];
  const tabs = tabBar(panels);
  screen.replaceChildren(
    el('div', { class: host ? 'kitchen for-host' : 'kitchen' },
      el('header', { class: 'kitchen-head' },
        el('a', { class: 'brand', href: '/' }, 'Simmer'),
        heading, count, badge,
        ticket.invite ? invitation(room, ticket.invite) : null),
      el('div', { class: 'kitchen-notes' }, status, hear),
      el('section', { class: 'stage', 'aria-label': 'Everybody in the class' }, tiles.node),
      tabs.node,
      el('aside', { class: 'panels' }, ...panels.map((panel) => panel.node)),
      controls.node),
  );

  heading.focus();

  let drawn = false;
  const draw = () => {
    if (drawn) return;
    drawn = true;
    queueMicrotask(() => {
      drawn = false;
      for (const part of [tiles, steps, chat, overview, controls]) part?.draw();
      badge.hidden = room.state.recording?.state !== 'started';
      const here = room.state.present.length;
      count.textContent = here === 1 ? 'Only you so far' : `${here} people`;
    });
  };
  room.addEventListener('change', draw);
  room.addEventListener('streams', draw);
  room.addEventListener('speakers', draw);
  room.addEventListener('media', draw);

  room.addEventListener('chat', (event) => {
    if (detail(event).by !== room.me.id) tabs.mark('chat');
  });
  room.addEventListener('joined', (event) => {
    const { participant } = detail(event);
    if (participant.id !== room.me.id) toast(`${participant.name} has come in.`);
  });
  room.addEventListener('left', (event) => {
    const { participant } = detail(event);
    if (participant !== room.me.id) toast(`${room.state.participants.get(participant)?.name ?? 'Somebody'} has left.`);
  });
  room.addEventListener('hand', (event) => {
    const { by, raised } = detail(event);
    if (raised && by !== room.me.id) toast(`${room.state.participants.get(by)?.name ?? 'Somebody'} raises a hand.`);
  });
  room.addEventListener('step_started', (event) => {
    const { by, step } = detail(event);
    if (by !== room.me.id) toast(`Step ${step + 1}: ${room.state.steps[step]?.title ?? ''}`);
  });
  room.addEventListener('recording', (event) => toast(RECORDING[detail(event).state] ?? ''));
  room.addEventListener('muted', (event) => {
    const { by, muted, publication } = detail(event);
    const mine = room.state.publications.get(publication)?.participant === room.me.id;
    if (mine && muted && by !== room.me.id) toast('The host has muted you. You can unmute yourself.');
  });
  room.addEventListener('problem', (event) => toast(detail(event).message));
  room.addEventListener('audioblocked', (event) => (hear.hidden = !detail(event)));
  const connection = () => {
    const open = room.connection === 'open';
    status.hidden = open && room.media.state !== 'lost';
    if (open) status.textContent = room.media.state === 'lost' ? 'Picture and sound were cut off. Fetching them again…' : '';
    else if (room.media.channelOpen) status.textContent = 'Connection interrupted. What you do still arrives; reconnecting…';
    else status.textContent = 'Connection lost. Trying again…';
  };
  room.addEventListener('connection', connection);
  room.addEventListener('media', connection);

  const left = new Promise((resolve) => {
    room.addEventListener('closed', (event) => {
      const error = detail(event);
      // A replay holds what everybody said and did; it is offered to those who saw the class to its end.
      const over = error.code === 'room_ended' || error.code === 'left';
      const session = over ? (room.state.recording?.session ?? null) : null;
      for (const track of [tracks.camera, tracks.microphone]) track?.stop();
      resolve({ reason: error, session });
    });
  });
  draw();
  if (tracks.camera) attempt(room.media.publish('camera', tracks.camera));
  if (tracks.microphone) attempt(room.media.publish('microphone', tracks.microphone));
  if (!tracks.camera && !tracks.microphone) room.media;
  return left;
}

/** @type {Record<string, string>} */
const RECORDING = {
  started: 'This class is being recorded from now on.',
  stopped: 'The recording has stopped.',
  failed: 'The recording has failed. The class goes on.',
  available: 'The replay is ready.',
};

/**
 * @param {Room} room
 * @param {string} key
 */
function invitation(room, key) {
  return el('details', { class: 'invitation' },
    el('summary', { class: 'button quiet' }, 'Invite'),
    el('div', { class: 'card popover' }, linkField('For everybody you invite', linkTo(room.id, key), 'invite-link')));
}

/**
 * On a small screen one panel at a time is shown, chosen here.
 * @param {{id: string, title: string, node: HTMLElement}[]} panels
 */
function tabBar(panels) {
  const tabs = panels.map(({ id, title, node }) => {
    node.id = `panel-${id}`;
    return el('button', { type: 'button', class: 'tab', 'aria-controls': node.id, onclick: () => choose(id) }, title);
  });
  /** @param {string} chosen */
  function choose(chosen) {
    panels.forEach(({ id, node }, index) => {
      node.toggleAttribute('data-chosen', id === chosen);
      tabs[index].setAttribute('aria-pressed', String(id === chosen));
      if (id === chosen) tabs[index].removeAttribute('data-new');
    });
  }
  choose(panels[0].id);
  return {
    node: el('nav', { class: 'tabs', 'aria-label': 'What to show' }, ...tabs),
    /** There is something new in a panel that may be out of sight. @param {string} id */
    mark(id) {
      const index = panels.findIndex((panel) => panel.id === id);
      if (!panels[index].node.hasAttribute('data-chosen')) tabs[index].setAttribute('data-new', '');
    },
  };
}

/** @param {string} text */
export function toast(text) {
  if (!text) return;
  const note = el('p', { class: 'toast' }, text);
  const toasts = byId('toasts');
  toasts.append(note);
  while (toasts.childElementCount > 2) toasts.firstElementChild?.remove();
  setTimeout(() => note.remove(), 5000);
}

/** @param {Event} event */
function detail(event) {
  return /** @type {CustomEvent} */ (event).detail;
}
