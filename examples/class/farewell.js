import { SimmerError } from '/client/client.js';
import { byId, el } from '../shared/dom.js';

/** @type {Record<string, {title: string, text: string, again?: string}>} */
const REASONS = {
  left: { title: 'You have left the class', text: 'Your progress is kept. You can come back as long as the class goes on.', again: 'Come back in' },
  room_ended: { title: 'The class is over', text: 'Thank you for cooking along.' },
  kicked: { title: 'The host has removed you', text: 'You cannot come back in for ten minutes.' },
  replaced: { title: 'You are in the class somewhere else', text: 'You joined again in another window, and this one has made room for it.', again: 'Use this window' },
  bad_token: { title: 'This link does not open a class', text: 'It may have been cut short when it was copied. Ask for it again.' },
  not_found: { title: 'This link does not open a class', text: 'The class may be long over, or the link was cut short when it was copied.' },
  not_allowed: { title: 'This link does not open a class', text: 'It may have been cut short when it was copied. Ask for it again.' },
  room_full: { title: 'The class is full', text: 'Try again when somebody has left.', again: 'Try again' },
  server_full: { title: 'The server is full', text: 'Try again in a few minutes.', again: 'Try again' },
  connect_failed: { title: 'The server cannot be reached', text: 'Check your connection.', again: 'Try again' },
};

/**
 * Says why it is over, and offers what can be done next.
 * @param {HTMLElement} screen
 * @param {unknown} error
 * @param {string | null} session the recording, if there is one
 */
export function showFarewell(screen, error, session) {
  const code = error instanceof SimmerError ? error.code : '';
  const message = error instanceof Error ? error.message : '';
  const reason = REASONS[code] ?? { title: 'That did not work', text: message, again: 'Try again' };
  byId('toasts').replaceChildren();
  const heading = el('h1', { tabindex: '-1' }, reason.title);
  screen.replaceChildren(
    el('section', { class: 'card narrow', 'data-reason': code },
      el('p', { class: 'eyebrow' }, 'Simmer · live cooking class'),
      heading,
      el('p', { class: 'lead' }, reason.text),
      session ? el('p', {}, el('a', { class: 'button primary large', id: 'replay-link', href: `/replay/${session}` }, 'Watch the replay')) : null,
      el('p', { class: 'row' },
        reason.again ? el('button', { class: 'quiet', onclick: () => location.reload() }, reason.again) : null,
        el('a', { class: 'button quiet', href: '/demo/class' }, 'Create another class'))),
  );
  document.title = `${reason.title} · Simmer`;
  heading.focus();
}
