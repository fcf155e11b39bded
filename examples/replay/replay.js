/**
 * The replay's page: `/replay/<session>` plays one, any other address lists them.
 */
import { SimmerError } from '/client/errors.js';
import { byId, clockText, el } from '../shared/dom.js';
import { fetchJson } from '../shared/http.js';
import { showPlayer } from './player.js';
import { titleOf } from './title.js';

/** How often a recording that is still being finished is asked for. */
const ASK_AGAIN_MS = 1_500;

const screen = byId('screen');
const session = /^\/replay\/([^/]+)\/?$/.exec(location.pathname)?.[1];

if (session) void open(session);
else void list();

/** @param {string} id */
async function open(id) {
  const address = `/v1/sessions/${id}`;
  try {
    const manifest = await fetchJson(address);
    const log = await fetch(`${address}/${manifest.events}`);
    showPlayer(screen, manifest, log.ok ? linesOf(await log.text()) : [], address);
  } catch (error) {
    const status = error instanceof SimmerError ? error.cause : undefined;
    if (status === 409) {
      say('Not ready yet', 'The class is still being recorded, or its recording is being finished. This page opens it as soon as it is there.');
      setTimeout(() => void open(id), ASK_AGAIN_MS);
    } else if (status === 404) {
      say('There is no such replay', 'The link may have been cut short when it was copied.');
    } else {
      say('The replay does not open', error instanceof Error ? error.message : 'Try again in a moment.');
    }
  }
}

async function list() {
  try {
    /** @type {{sessions: Record<string, any>[]}} */
    const { sessions } = await fetchJson('/v1/sessions');
    screen.replaceChildren(
      el('div', { class: 'home' },
        el('header', {}, el('a', { class: 'brand', href: '/' }, 'Simmer'), el('h1', {}, 'Replays')),
        sessions.length === 0 ? el('p', { class: 'lead' }, 'Nothing has been recorded yet.') : null,
        el('ul', { class: 'session-list' }, ...sessions.map(entry))),
    );
  } catch (error) {
    say('The replays cannot be listed', error instanceof Error ? error.message : '');
  }
}

/** @param {Record<string, any>} summary */
function entry(summary) {
  const when = summary.started_at ? new Date(summary.started_at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' }) : '';
  const about = [
    when,
    summary.duration_ms ? clockText(summary.duration_ms) : '',
    summary.room,
    summary.recovered ? 'recovered after an interruption' : '',
    summary.state === 'recording' ? 'still being recorded' : '',
  ];
  return el('li', {},
    el('a', { class: 'card session-link', href: `/replay/${summary.id}`, 'data-session': summary.id },
      el('strong', {}, titleOf(summary)),
      el('span', { class: 'quiet-text' }, about.filter(Boolean).join(' · '))));
}

/**
 * @param {string} title
 * @param {string} text
 */
function say(title, text) {
  if (screen.querySelector('h1')?.textContent === title) return;
  screen.replaceChildren(
    el('section', { class: 'card narrow', role: 'status' },
      el('p', { class: 'eyebrow' }, el('a', { href: '/demo/replay/index.html' }, 'All replays')),
      el('h1', {}, title),
      el('p', { class: 'lead' }, text)),
  );
}

/** @param {string} text */
function linesOf(text) {
  return text.split('\n').flatMap((line) => {
    try {
      return line ? [JSON.parse(line)] : [];
    } catch {
      return [];
    }
  });
}
