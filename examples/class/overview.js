import { ask } from '../shared/ask.js';
import { el, icon } from '../shared/dom.js';

/**
 * The host's view of the whole class: participants by steps.
 * @param {import('/client/client.js').Room} room
 * @param {(action: Promise<unknown>) => void} attempt
 */
export function overviewPanel(room, attempt) {
  const table = el('div', { class: 'matrix-frame', tabindex: '0', role: 'region', 'aria-label': 'Progress of everybody' });
  const summary = el('p', { class: 'quiet-text' });
  const node = el('section', { class: 'panel', 'aria-labelledby': 'overview-title' },
    el('div', { class: 'panel-head' }, el('h2', { id: 'overview-title' }, 'Progress'), summary),
    table);

  function draw() {
    const { steps, currentStep } = room.state;
    const guests = room.state.present.filter((p) => p.id !== room.me.id);
    const ready = guests.filter((p) => currentStep !== null && room.state.isDone(p.id, currentStep)).length;
    summary.textContent = currentStep === null || guests.length === 0 ? '' : `${ready} of ${guests.length} done with step ${currentStep + 1}`;
    if (guests.length === 0) {
      table.replaceChildren(el('p', { class: 'empty' }, 'Nobody has come in yet. Send the link to your guests.'));
      return;
    }
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.key : undefined;
    table.replaceChildren(el('table', { class: 'matrix' },
      el('thead', {}, el('tr', {},
        el('th', { scope: 'col' }, el('span', { class: 'for-reader' }, 'Participant')),
        ...steps.map((step, index) => el('th', { scope: 'col', title: step.title, class: index === currentStep ? 'now' : null }, `${index + 1}`)),
        el('th', { scope: 'col' }, el('span', { class: 'for-reader' }, 'Actions')))),
      el('tbody', {}, ...guests.map((guest) => row(guest, steps.length, currentStep)))));
    if (focused) /** @type {HTMLElement | null} */ (table.querySelector(`[data-key="${focused}"]`))?.focus();
  }

  /**
   * @param {{id: string, name: string}} guest
   * @param {number} steps
   * @param {number | null} current
   */
  function row({ id, name }, steps, current) {
    const microphone = room.state.publicationOf(id, 'microphone');
    return el('tr', { 'data-participant': id },
      el('th', { scope: 'row' }, el('span', { class: 'row-name' }, name), room.state.hands.has(id) ? el('span', { class: 'badge hand', title: 'Raises a hand' }, icon('hand'), el('span', { class: 'for-reader' }, 'raises a hand')) : null),
      ...Array.from({ length: steps }, (_, step) => {
        const done = room.state.isDone(id, step);
        const kind = [done ? 'done' : '', step === current ? 'now' : ''].join(' ').trim();
        return el('td', { class: kind || null }, done ? icon('tick') : null, el('span', { class: 'for-reader' }, done ? 'done' : 'not yet'));
      }),
      el('td', { class: 'row-actions' },
        el('button', {
          class: 'quiet round', type: 'button', 'data-key': `mute-${id}`, 'aria-label': `Mute ${name}`, title: 'Mute',
          disabled: !microphone || microphone.muted === true,
          onclick: () => microphone && attempt(room.mute(microphone.id, true)),
        }, icon('microphone', true)),
        el('button', {
          class: 'quiet round', type: 'button', 'data-key': `remove-${id}`, 'aria-label': `Remove ${name}`, title: 'Remove',
          onclick: async () => {
            const question = { title: `Remove ${name}?`, text: 'They cannot come back in for ten minutes.', yes: 'Remove' };
            if (await ask(question)) attempt(room.kick(id));
          },
        }, icon('remove'))));
  }

  return { node, draw };
}
