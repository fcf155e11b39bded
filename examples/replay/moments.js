import { clockText, el } from '../shared/dom.js';

/**
 * What was done and said, each line a way to its moment; what is yet to come is faint.
 * @param {import('./player.js').Manifest} manifest
 * @param {import('./player.js').LogLine[]} log
 * @param {(ms: number) => void} seek
 */
export function momentsPanel(manifest, log, seek) {
  const names = new Map(manifest.participants.map((p) => [p.id, p.name]));
  /** @type {string[]} */
  let titles = manifest.chapters.reduce((all, { step, title }) => ((all[step] = title), all), /** @type {string[]} */ ([]));
  const moments = log.flatMap((line) => {
    if (line.kind === 'steps_set') titles = line.steps.map((/** @type {{title: string}} */ step) => step.title);
    const said = words(line, names.get(line.by ?? '') ?? 'Somebody', titles, names);
    return said ? [{ at: Math.max(0, line.t_ms), kind: line.kind, said }] : [];
  });
  const lines = moments.map(({ at, kind, said }) => el('button', {
    class: 'moment', type: 'button', 'data-kind': kind, 'data-at': at, onclick: () => seek(at),
  }, el('time', {}, clockText(at)), el('span', {}, ...said)));
  const list = el('div', { class: 'moments', id: 'moments' }, ...lines);
  const node = el('section', { class: 'panel', 'aria-labelledby': 'moments-title' },
    el('div', { class: 'panel-head' }, el('h2', { id: 'moments-title' }, 'What happened')),
    moments.length === 0 ? el('p', { class: 'empty' }, 'Nothing was done or said.') : list);

  let past = -1;
  /** @param {number} at */
  function draw(at) {
    const reached = moments.filter((moment) => moment.at <= at).length;
    if (reached === past) return;
    past = reached;
    lines.forEach((line, index) => {
      line.toggleAttribute('data-later', index >= reached);
      line.toggleAttribute('data-now', index === reached - 1);
    });
    const current = lines[reached - 1];
    if (!current || list.contains(document.activeElement)) return;
    list.scrollTop = current.offsetTop - list.offsetTop - list.clientHeight / 2;
  }
  return { node, draw };
}

/**
 * What a line of the log says, null when it says nothing to a person.
 * @param {import('./player.js').LogLine} line
 * @param {string} who
 * @param {string[]} titles
 * @param {Map<string, string>} names
 * @returns {(Node | string)[] | null}
 */
function words(line, who, titles, names) {
  const name = el('b', {}, who);
  switch (line.kind) {
    case 'chat':
      return [name, ': ', line.text];
    case 'step_started':
      return [el('b', {}, `Step ${line.step + 1}`), ` ${titles[line.step] ?? ''}`];
    case 'step_ticked':
      return [name, line.done ? ` finished step ${line.step + 1}` : ` took back step ${line.step + 1}`];
    case 'hand':
      return line.raised ? [name, ' raised a hand'] : null;
    case 'joined':
      return [el('b', {}, line.participant.name), ' came in'];
    case 'left':
      return [el('b', {}, names.get(line.participant) ?? 'Somebody'), ' left'];
    default:
      return null;
  }
}
