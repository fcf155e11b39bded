import { el, icon } from '../shared/dom.js';
import { fetchJson } from '../shared/http.js';
import { linkTo } from './ticket.js';

/**
 * Makes a class and shows its two links.
 * @param {HTMLElement} screen
 */
export function showEntrance(screen) {
  const status = el('p', { class: 'status', role: 'status' });
  const button = el('button', { class: 'primary large', onclick: make }, 'Create a class');
  screen.replaceChildren(
    el('section', { class: 'card narrow' },
      el('p', { class: 'eyebrow' }, el('a', { href: '/' }, 'Simmer'), ' · live cooking class'),
      el('h1', {}, 'Cook together, each in your own kitchen'),
      el('p', { class: 'lead' }, 'Everybody on video, one recipe in up to ten steps, and the host sees at a glance who is where.'),
      button,
      status),
  );

  async function make() {
    button.disabled = true;
    status.textContent = 'Setting the table…';
    try {
      const made = await fetchJson('/demo/class', { method: 'POST' });
      showLinks(screen, made);
    } catch {
      button.disabled = false;
      status.textContent = 'The server did not answer. Try again in a moment.';
    }
  }
}

/**
 * @param {HTMLElement} screen
 * @param {{room: string, host_key: string, participant_key: string}} made
 */
function showLinks(screen, { room, host_key, participant_key }) {
  const host = linkTo(room, host_key, participant_key);
  const guests = linkTo(room, participant_key);
  const heading = el('h1', { tabindex: '-1' }, 'Your class is ready');
  screen.replaceChildren(
    el('section', { class: 'card narrow' },
      el('p', { class: 'eyebrow' }, 'Simmer · live cooking class'),
      heading,
      linkField('For everybody you invite', guests, 'guest-link'),
      linkField('For you, the host — keep it to yourself', host, 'host-link'),
      el('p', {}, el('a', { class: 'button primary large', href: host, id: 'enter-as-host' }, 'Enter as host'))),
  );
  heading.focus();
}

/**
 * A link that can be read, selected and copied.
 * @param {string} label
 * @param {string} link
 * @param {string} id
 */
export function linkField(label, link, id) {
  const input = el('input', { id, type: 'text', readonly: true, value: link, onfocus: () => input.select() });
  const copied = el('span', { class: 'status', role: 'status' });
  const copy = el('button', {
    class: 'quiet',
    type: 'button',
    'aria-label': `Copy the link: ${label}`,
    onclick: async () => {
      try {
        await navigator.clipboard.writeText(link);
        copied.textContent = 'Copied.';
      } catch {
        input.focus();
        copied.textContent = 'Selected: copy it with your keyboard or menu.';
      }
    },
  }, icon('link'), 'Copy');
  return el('div', { class: 'field' },
    el('label', { for: id }, label),
    el('div', { class: 'row' }, input, copy),
    copied);
}
