/**
 * Plays a recorded class: pictures and sound on one clock, and beside them what was done and said at that time.
 */
import { clockText, el, icon } from '../shared/dom.js';
import { MasterClock } from './clock.js';
import { momentsPanel } from './moments.js';
import { progressPanel } from './progress.js';
import { stage } from './stage.js';
import { titleOf } from './title.js';
import { Track } from './track.js';

/**
 * @typedef {object} Manifest
 * @property {string} session
 * @property {string} room
 * @property {string} title
 * @property {number} started_at
 * @property {number} duration_ms
 * @property {boolean} recovered
 * @property {{id: string, name: string, role: string}[]} participants
 * @property {import('./track.js').ManifestTrack[]} tracks
 * @property {{title: string, start_ms: number, step: number}[]} chapters
 * @property {string} events
 *
 * @typedef {{seq: number, t_ms: number, by: string | null, kind: string} & Record<string, any>} LogLine
 */

const EVERY_MS = 100;
const ARROW_MS = 5_000;
const RATES = [0.5, 1, 1.25, 1.5, 2];

/**
 * @param {HTMLElement} screen
 * @param {Manifest} manifest
 * @param {LogLine[]} log
 * @param {string} address of the session
 */
export function showPlayer(screen, manifest, log, address) {
  const clock = new MasterClock(manifest.duration_ms);
  const tracks = manifest.tracks.map((entry) => new Track(entry, `${address}/tracks/${encodeURIComponent(entry.file)}`));
  const pictures = stage(manifest.participants, tracks);
  const moments = momentsPanel(manifest, log, seek);
  const progress = progressPanel(manifest, log, seek);

  const play = el('button', { class: 'primary play', type: 'button', id: 'play', onclick: () => toggle() });
  const now = el('time', { id: 'now' });
  const bar = el('input', {
    type: 'range', id: 'seek', min: 0, max: Math.round(manifest.duration_ms), step: 100, value: 0, 'aria-label': 'Time',
    oninput: () => seek(Number(bar.value)),
  });
  const rate = el('select', { id: 'rate', 'aria-label': 'Speed', onchange: () => clock.setRate(Number(rate.value)) },
    ...RATES.map((value) => el('option', { value, selected: value === 1 }, `${value}×`)));
  const chapters = manifest.chapters.map((chapter) => el('button', {
    class: 'chapter-mark', type: 'button', 'data-step': chapter.step,
    title: `${chapter.step + 1}. ${chapter.title}`, 'aria-label': `Go to step ${chapter.step + 1}: ${chapter.title}`,
    style: `left: ${(100 * chapter.start_ms) / Math.max(1, manifest.duration_ms)}%`,
    onclick: () => seek(chapter.start_ms),
  }, `${chapter.step + 1}`));
  const status = el('p', { class: 'status', role: 'status' });

  const when = new Date(manifest.started_at).toLocaleString(undefined, { dateStyle: 'long', timeStyle: 'short' });
  const title = titleOf(manifest);
  document.title = `${title} · Simmer`;
  screen.replaceChildren(
    el('div', { class: 'replay' },
      el('header', { class: 'replay-head' },
        el('p', { class: 'eyebrow' }, el('a', { href: '/' }, 'Simmer'), ' · ', el('a', { href: '/demo/replay/index.html' }, 'all replays')),
        el('h1', {}, title),
        el('p', { class: 'quiet-text' }, `${when} · ${clockText(manifest.duration_ms)}`,
          manifest.recovered ? ' · recovered after an interruption; the last seconds may be missing' : '')),
      el('div', { class: 'replay-body' },
        el('div', { class: 'replay-main' },
          pictures.node,
          el('div', { class: 'card transport' },
            el('div', { class: 'timeline' }, el('div', { class: 'chapter-marks' }, ...chapters), bar),
            el('div', { class: 'transport-row' }, play, now, status, rate))),
        el('aside', {}, progress.node, moments.node))),
  );

  document.addEventListener('keydown', (event) => {
    const target = event.target instanceof HTMLElement ? event.target : null;
    if (event.ctrlKey || event.metaKey || event.altKey || target?.matches('select, textarea, input[type="text"]')) return;
    if (event.key === ' ' && !target?.matches('button, a')) toggle();
    else if (event.key === 'ArrowRight') seek(clock.time + ARROW_MS);
    else if (event.key === 'ArrowLeft') seek(clock.time - ARROW_MS);
    else return;
    event.preventDefault();
  });

  function toggle() {
    if (clock.playing) clock.pause();
    else clock.play();
    status.textContent = '';
    tick();
  }

  /** @param {number} ms */
  function seek(ms) {
    clock.seek(ms);
    tick();
  }

  const refused = (/** @type {unknown} */ error) => {
    if (!(error instanceof DOMException) || error.name !== 'NotAllowedError') return;
    clock.pause();
    status.textContent = 'Press play to start.';
  };

  let face = '';
  function tick() {
    if (clock.playing && clock.time >= clock.duration) clock.pause();
    const at = clock.time;
    for (const track of tracks) track.follow(clock, refused);
    pictures.draw(at);
    moments.draw(at);
    progress.draw(at);
    now.textContent = `${clockText(at)} / ${clockText(clock.duration)}`;
    bar.value = String(Math.round(at));
    bar.setAttribute('aria-valuetext', clockText(at));
    const current = manifest.chapters.filter((chapter) => chapter.start_ms <= at).length - 1;
    chapters.forEach((mark, index) => mark.toggleAttribute('data-now', index === current));
    const wanted = clock.playing ? 'pause' : 'play';
    if (face !== wanted) {
      face = wanted;
      play.replaceChildren(icon(wanted));
      play.setAttribute('aria-label', clock.playing ? 'Pause' : 'Play');
    }
  }

  setInterval(tick, EVERY_MS);
  tick();
  // For the console.
  Object.assign(globalThis, { player: { clock, tracks } });
}
