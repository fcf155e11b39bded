import { el, icon } from '../shared/dom.js';

/**
 * Who had done what by now: participants by steps, each tick a way to its moment.
 * @param {import('./player.js').Manifest} manifest
 * @param {import('./player.js').LogLine[]} log
 * @param {(ms: number) => void} seek
 */
export function progressPanel(manifest, log, seek) {
  const set = log.filter((line) => line.kind === 'steps_set').pop();
  const ticks = log.filter((line) => line.kind === 'step_ticked');
  /** @type {string[]} */
  const titles = set ? set.steps.map((/** @type {{title: string}} */ step) => step.title) : [];
  for (const { step, title } of manifest.chapters) titles[step] ??= title;
  for (const { step } of ticks) titles[step] ??= '';
  const steps = Array.from(titles, (title, index) => ({ title: title ?? '', index }));
  const rows = manifest.participants.filter((p) => p.role !== 'host' || ticks.some((line) => line.by === p.id));
  const cells = rows.flatMap(({ id, name }) => steps.map(({ index }) => {
    const own = ticks.filter((line) => line.by === id && line.step === index);
    const first = own.find((line) => line.done);
    const node = el('button', {
      class: 'progress-cell', type: 'button', disabled: !first, onclick: () => first && seek(first.t_ms),
      'data-participant': id, 'data-step': index,
    });
    return { node, own, label: `${name}, step ${index + 1}`, shown: /** @type {boolean | null} */ (null) };
  }));
  const table = el('table', { class: 'matrix' },
    el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, el('span', { class: 'for-reader' }, 'Participant')),
      ...steps.map(({ title, index }) => el('th', { scope: 'col', title }, `${index + 1}`)))),
    el('tbody', {}, ...rows.map(({ name }, row) => el('tr', {},
      el('th', { scope: 'row' }, el('span', { class: 'row-name' }, name)),
      ...steps.map((_, column) => el('td', {}, cells[row * steps.length + column].node))))));
  const node = el('section', { class: 'panel', 'aria-labelledby': 'progress-title', hidden: steps.length === 0 || rows.length === 0 },
    el('div', { class: 'panel-head' }, el('h2', { id: 'progress-title' }, 'Progress'),
      el('span', { class: 'quiet-text' }, 'A tick leads to its moment')),
    el('div', { class: 'matrix-frame' }, table));

  /** @param {number} at */
  function draw(at) {
    for (const cell of cells) {
      const done = cell.own.filter((line) => line.t_ms <= at).pop()?.done === true;
      if (done === cell.shown) continue;
      cell.shown = done;
      cell.node.classList.toggle('done', done);
      cell.node.replaceChildren(...(done ? [icon('tick')] : []));
      cell.node.setAttribute('aria-label', `${cell.label}: ${done ? 'done' : 'not yet'}`);
    }
  }
  return { node, draw };
}
