import { ask } from '../shared/ask.js';
import { el, icon } from '../shared/dom.js';

const MOST_STEPS = 10;
const LONGEST_TITLE = 120;

/**
 * The recipe's steps: ticked by everybody, set and started by the host.
 * @param {import('/client/client.js').Room} room
 * @param {(action: Promise<unknown>) => void} attempt
 */
export function stepsPanel(room, attempt) {
  const host = room.me.may.administer;
  const list = el('ol', { class: 'steps' });
  const empty = el('p', { class: 'empty' }, host ? 'No steps yet. Write the recipe first.' : 'The host has not set any steps yet.');
  const text = el('textarea', { id: 'steps-text', rows: 6, 'aria-describedby': 'steps-hint', placeholder: 'Chop the onions\nFry them gently\nAdd the stock' });
  const hint = el('p', { id: 'steps-hint', class: 'quiet-text', role: 'status' });
  const form = el('form', { class: 'steps-form', hidden: true, onsubmit: save },
    el('label', { for: 'steps-text' }, 'One step per line, up to ten'), text, hint,
    el('div', { class: 'row end' },
      el('button', { class: 'quiet', type: 'button', onclick: () => edit(false) }, 'Cancel'),
      el('button', { class: 'primary', type: 'submit' }, 'Save steps')));
  const write = el('button', { class: 'quiet', type: 'button', id: 'edit-steps', onclick: () => edit(true) }, 'Edit steps');
  const node = el('section', { class: 'panel', 'aria-labelledby': 'steps-title' },
    el('div', { class: 'panel-head' }, el('h2', { id: 'steps-title' }, 'Steps'), host ? write : null),
    empty, list, host ? form : null);

  /** @param {boolean} open */
  function edit(open) {
    form.hidden = !open;
    list.hidden = open;
    write.hidden = open;
    empty.hidden = open || room.state.steps.length > 0;
    if (!open) return write.focus();
    text.value = room.state.steps.map((step) => step.title).join('\n');
    hint.textContent = room.state.done.size > 0 ? 'Saving starts everybody’s progress over.' : '';
    text.focus();
  }

  /** @param {Event} event */
  async function save(event) {
    event.preventDefault();
    const titles = text.value.split('\n').map((line) => line.trim()).filter((line) => line !== '');
    const long = titles.findIndex((title) => title.length > LONGEST_TITLE);
    if (titles.length === 0) hint.textContent = 'Write at least one step.';
    else if (titles.length > MOST_STEPS) hint.textContent = `That is ${titles.length} steps; ten is the most.`;
    else if (long >= 0) hint.textContent = `Step ${long + 1} is longer than ${LONGEST_TITLE} letters.`;
    else {
      const ticked = [...room.state.done.values()].some((flags) => flags.includes(true));
      const question = { title: 'Start over?', text: 'Everybody’s ticks will be cleared.', yes: 'Save steps' };
      if (ticked && !(await ask(question))) return;
      attempt(room.setSteps(titles).then(() => edit(false)));
    }
  }

  function draw() {
    const { steps, currentStep } = room.state;
    empty.hidden = steps.length > 0 || !form.hidden;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.key : undefined;
    list.replaceChildren(...steps.map((step, index) => row(step.title, index, currentStep)));
    if (focused) /** @type {HTMLElement | null} */ (list.querySelector(`[data-key="${focused}"]`))?.focus();
  }

  /**
   * @param {string} title
   * @param {number} index
   * @param {number | null} current
   */
  function row(title, index, current) {
    const now = index === current;
    const tick = el('input', {
      type: 'checkbox', id: `tick-${index}`, 'data-key': `tick-${index}`, checked: room.state.isDone(room.me.id, index),
      onchange: () => {
        tick.indeterminate = true;
        attempt(room.tick(index, tick.checked).finally(draw));
      },
    });
    return el('li', { class: now ? 'step now' : 'step', 'aria-current': now ? 'step' : null, 'data-step': index },
      el('label', { class: 'step-label', for: `tick-${index}` },
        tick, el('span', { class: 'box', 'aria-hidden': true }, icon('tick')),
        el('span', { class: 'step-title' }, el('span', { class: 'step-number' }, `${index + 1}`), title)),
      now ? el('span', { class: 'badge now' }, 'Now') : null,
      host && !now ? el('button', {
        class: 'quiet small', type: 'button', 'data-key': `start-${index}`, 'aria-label': `Start step ${index + 1}: ${title}`,
        onclick: () => attempt(room.startStep(index)),
      }, 'Start') : null);
  }

  return { node, draw };
}
