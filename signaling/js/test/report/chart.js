/**
 * A run as a picture: bits per second, height, queue, and where the picture froze, over one axis of time. SVG.
 */
import { freezes } from './measures.js';

/**
 * @typedef {{name: string, colour: string, points: [number, number][], steps?: boolean, dashed?: boolean}} Series
 * points are milliseconds of Unix time and a value
 * @typedef {{title: string, unit: string, series: Series[], height?: number}} Panel
 */

const WIDTH = 960;
const LEFT = 64;
const RIGHT = 16;
const TOP = 78;
const GAP = 34;
const COLOURS = ['#1f77b4', '#d9480f', '#2b8a3e', '#862e9c', '#0b7285', '#5c3c10'];

/**
 * @param {string} title
 * @param {import('./stage.js').Stage} stage after `collect` of its actors
 */
export function chart(title, stage) {
  const watchers = stage.actors.filter(({ role }) => role === 'watcher');
  const from = Math.min(...stage.marks.map(({ at }) => at), ...watchers.map(({ seen }) => seen.begun));
  const to = Math.max(...stage.server.map(({ at }) => at), from + 1000);
  const panels = panelsOf(stage, watchers);
  const body = [];
  let y = TOP;
  for (const panel of panels) {
    body.push(drawPanel(panel, { y, from, to }));
    y += (panel.height ?? 130) + GAP;
  }
  const x = scale(from, to);
  for (const watcher of watchers) {
    for (const freeze of freezes(watcher.seen.frames)) {
      const [left, right] = [x(freeze.from), x(freeze.to)];
      body.unshift(`<rect x="${left}" y="${TOP}" width="${round(right - left)}" height="${y - TOP - GAP}" fill="#fa5252" opacity="0.18"/>`);
    }
  }
  stage.marks.forEach(({ at, label }, index) => {
    const end = TOP - 22 - (index % 2) * 13;
    const nearEnd = x(at) > WIDTH - 120;
    body.push(`<line x1="${x(at)}" x2="${x(at)}" y1="${end}" y2="${y - GAP}" stroke="#495057" stroke-dasharray="2 3"/>`);
    body.push(`<text x="${x(at) + (nearEnd ? -3 : 3)}" y="${end + 4}" text-anchor="${nearEnd ? 'end' : 'start'}" class="mark">${escape(label)}</text>`);
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" font-family="sans-serif" font-size="11">
<style>.mark{fill:#495057;font-size:10px}.title{font-size:15px;font-weight:bold}.axis{fill:#868e96}</style>
<rect width="100%" height="100%" fill="white"/>
<text x="${LEFT}" y="20" class="title">${escape(title)}</text>
<text x="${WIDTH - RIGHT}" y="20" text-anchor="end" class="axis">red ground: a picture froze</text>
${body.join('\n')}
</svg>
`;
}

/**
 * @param {import('./stage.js').Stage} stage
 * @param {import('./stage.js').Actor[]} watchers
 * @returns {Panel[]}
 */
function panelsOf(stage, watchers) {
  const lines = stage.lines.filter(({ reports }) => reports.length > 0);
  /** @type {Series[]} */
  const rates = [];
  for (const actor of stage.actors.filter(({ role }) => role === 'publisher')) {
    rates.push({ name: 'publisher may send', colour: '#868e96', dashed: true, points: actor.seen.samples.map((one) => [one.at, one.available / 1000]) });
  }
  watchers.forEach((_, index) => {
    /** @type {[number, number][]} */
    const points = stage.server.flatMap(({ at, participants }) => {
      const estimate = receivers(participants)[index]?.line?.estimate_bps;
      return estimate === undefined ? [] : [[at, estimate / 1000]];
    });
    rates.push({ name: `estimate ${index + 1}`, colour: COLOURS[index], points });
  });
  lines.forEach(({ reports }, index) => {
    rates.push({ name: `arrives on line ${index + 1}`, colour: COLOURS[3 + index], points: smooth(reports.map((one) => [one.at, one.down.bytes_out]), 500) });
  });
  /** @type {Series[]} */
  const queues = lines.map(({ reports }, index) => ({
    name: `queue of line ${index + 1}, p95`, colour: COLOURS[3 + index], points: reports.map((one) => [one.at, one.down.queue_p95_ms]),
  }));
  watchers.forEach((_, index) => queues.push({
    name: `waiting in the server for ${index + 1}, kB`, colour: COLOURS[index], dashed: true,
    points: stage.server.map(({ at, participants }) => [at, (receivers(participants)[index]?.bytes_waiting ?? 0) / 1000]),
  }));
  return [
    { title: 'kbit/s', unit: '', series: rates, height: 190 },
    {
      title: 'height shown, pixels', unit: '',
      series: watchers.map(({ seen }, index) => ({ name: `watcher ${index + 1}`, colour: COLOURS[index], steps: true, points: seen.frames.map(({ at, height }) => [at, height]) })),
    },
    { title: 'queue: ms; backlog: kB', unit: '', series: queues },
    {
      title: 'since the frame before, ms', unit: '',
      series: watchers.map(({ seen }, index) => ({ name: `watcher ${index + 1}`, colour: COLOURS[index], points: seen.frames.slice(1).map(({ at }, frame) => [at, at - seen.frames[frame].at]) })),
    },
  ];
}

/**
 * Those who receive, in the order they came: the server names participants otherwise than the protocol.
 * @param {Record<string, any>[]} participants
 */
export function receivers(participants) {
  return participants.filter(({ publications }) => publications.length === 0);
}

/**
 * Bytes of short stretches as kbit/s over `over` milliseconds.
 * @param {[number, number][]} points
 * @param {number} over
 * @returns {[number, number][]}
 */
function smooth(points, over) {
  return points.map(([at]) => {
    const bytes = points.filter(([other]) => other > at - over && other <= at).reduce((sum, [, value]) => sum + value, 0);
    return [at, (bytes * 8) / over];
  });
}

/**
 * @param {Panel} panel
 * @param {{y: number, from: number, to: number}} place
 */
function drawPanel({ title, series, height = 130 }, { y, from, to }) {
  const x = scale(from, to);
  const most = niceAbove(Math.max(1, ...series.flatMap(({ points }) => points.map(([, value]) => value))));
  const up = (/** @type {number} */ value) => round(y + height - (Math.min(value, most) / most) * height);
  const drawn = [`<rect x="${LEFT}" y="${y}" width="${WIDTH - LEFT - RIGHT}" height="${height}" fill="none" stroke="#dee2e6"/>`];
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    drawn.push(`<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${up(most * share)}" y2="${up(most * share)}" stroke="#e9ecef"/>`);
    drawn.push(`<text x="${LEFT - 6}" y="${up(most * share) + 4}" text-anchor="end" class="axis">${round(most * share)}</text>`);
  }
  const second = Math.max(1, Math.ceil((to - from) / 12_000));
  for (let at = 0; at <= (to - from) / 1000; at += second) {
    drawn.push(`<text x="${x(from + at * 1000)}" y="${y + height + 13}" text-anchor="middle" class="axis">${at} s</text>`);
  }
  let legend = LEFT + 8;
  drawn.push(`<text x="${LEFT}" y="${y - 4}" font-weight="bold">${escape(title)}</text>`);
  legend += title.length * 7 + 20;
  for (const { name, colour, points, steps, dashed } of series) {
    const inside = points.filter(([at]) => at >= from && at <= to);
    const path = inside.map(([at, value], index) => {
      const to = `${x(at)} ${up(value)}`;
      if (index === 0) return `M${to}`;
      return steps ? `H${x(at)}V${up(value)}` : `L${to}`;
    }).join('');
    drawn.push(`<path d="${path}" fill="none" stroke="${colour}" stroke-width="1.5"${dashed ? ' stroke-dasharray="5 3"' : ''}/>`);
    drawn.push(`<rect x="${legend}" y="${y - 11}" width="9" height="9" fill="${colour}"/><text x="${legend + 13}" y="${y - 3}">${escape(name)}</text>`);
    legend += name.length * 6 + 34;
  }
  return drawn.join('\n');
}

/**
 * @param {number} from
 * @param {number} to
 */
function scale(from, to) {
  return (/** @type {number} */ at) => round(LEFT + ((at - from) / (to - from)) * (WIDTH - LEFT - RIGHT));
}

/** @param {number} value */
function niceAbove(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return (([1, 2, 4, 5, 6, 8, 10].find((step) => step * unit >= value)) ?? 10) * unit;
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 10) / 10;
}

/** @param {string} text */
function escape(text) {
  return text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
