import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { longestGap } from '../report/measures.js';
import { openPage, startBrowser, startServer, until } from './harness.js';

const KEY = 'a key for tokens that live no longer than a test';
/** How long a short token lives, in seconds: it is to be replaced after half of that. */
const SHORT_S = 6;
const LONG_S = 600;

/**
 * @param {string} identity
 * @param {number} seconds how long it is good
 * @returns {{token: string, endsAt: number}} and its end in milliseconds of Unix time
 */
function issue(identity, seconds) {
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const encode = (/** @type {object} */ part) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ room: 'kitchen', sub: identity, name: identity, exp })}`;
  return { token: `${signed}.${createHmac('sha256', KEY).update(signed).digest('base64url')}`, endsAt: exp * 1000 };
}

/**
 * A server, and a page for each of these; `tokens` holds when those end that were given out in it, the last one last.
 * @param {import('node:test').TestContext} t
 * @param {number} count
 */
async function open(t, count) {
  const server = await startServer(t, { key: KEY });
  const browser = await startBrowser(t);
  return Promise.all(Array.from({ length: count }, async () => {
    const page = await openPage(t, browser);
    /** @type {number[]} */
    const tokens = [];
    await page.exposeFunction('newToken', (/** @type {string} */ identity, /** @type {number} */ seconds) => {
      const { token, endsAt } = issue(identity, seconds);
      tokens.push(endsAt);
      return token;
    });
    await page.goto(`${server.url}/`);
    return { page, tokens };
  }));
}

/**
 * Joins and notes what happens to the connection; publishes a moving picture if it is to.
 * @param {import('playwright-core').Page} page
 * @param {{identity: string, seconds: number, source: 'callback' | 'renewed' | 'once' | 'refused', publishes: boolean}} how where tokens come from
 */
function enter(page, how) {
  return page.evaluate(async ({ identity, seconds, source, publishes }) => {
    const { join, SimmerError } = await import('/client/client.js');
    const first = await globalThis.newToken(identity, seconds);
    let given = false;
    const callback = () => {
      if (source === 'callback') return globalThis.newToken(identity, seconds);
      if (given) throw new SimmerError('not_allowed', 'No more of these.');
      given = true;
      return first;
    };
    const room = await join({ token: source === 'callback' || source === 'refused' ? callback : first });
    if (source === 'renewed') room.addEventListener('expiring', async () => room.renew(await globalThis.newToken(identity, seconds)));
    const noted = { connection: [], media: [], closed: [], events: [], frames: [] };
    for (const type of ['connection', 'media']) room.addEventListener(type, ({ detail }) => noted[type].push(detail));
    room.addEventListener('closed', ({ detail }) => noted.closed.push(detail.code));
    for (const kind of ['joined', 'left', 'unpublished']) {
      room.addEventListener(kind, ({ detail }) => noted.events.push([kind, detail.participant ?? detail.by, detail.reason]));
    }
    if (publishes) {
      const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 180 });
      const context = canvas.getContext('2d');
      setInterval(() => {
        context.fillStyle = `hsl(${(performance.now() / 10) % 360} 50% 50%)`;
        context.fillRect(0, 0, 320, 180);
      }, 40);
      await room.media.publish('camera', canvas.captureStream(25).getVideoTracks()[0]);
    } else {
      const show = ({ id, kind, participant }) => {
        if (kind !== 'video' || participant === room.me.id) return;
        const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true, width: 320, height: 180 });
        document.body.prepend(video);
        room.show(id, video);
        const note = () => {
          noted.frames.push({ at: performance.now(), participant, height: video.videoHeight });
          video.requestVideoFrameCallback(note);
        };
        video.requestVideoFrameCallback(note);
      };
      room.addEventListener('published', ({ detail }) => show(detail.publication));
    }
    Object.assign(globalThis, { room, noted, former: room.media.connection });
    return room.me.id;
  }, how);
}

/**
 * Waits until a page has shown that many more pictures of somebody.
 * @param {import('playwright-core').Page} page
 * @param {string} participant
 * @param {number} more
 */
function sees(page, participant, more) {
  return page.evaluate(({ who, count }) => {
    const shown = () => globalThis.noted.frames.filter((frame) => frame.participant === who).length;
    const before = shown();
    return new Promise((resolve) => {
      const look = () => (shown() >= before + count ? resolve(undefined) : requestAnimationFrame(look));
      look();
    });
  }, { who: participant, count: more });
}

/** @param {import('playwright-core').Page} page */
const noted = (page) => page.evaluate(() => {
  const { noted: { connection, media, closed, events, frames }, room, former } = globalThis;
  return { connection, media, closed, events, frames, state: room.connection, same: room.media.connection === former, now: performance.now() };
});

test('a session goes on past the end of its token, and so does media', async (t) => {
  const [ana, ben, chiyo] = await open(t, 3);
  await enter(ana.page, { identity: 'ana', seconds: LONG_S, source: 'once', publishes: false });
  const others = [
    { ...ben, id: await enter(ben.page, { identity: 'ben', seconds: SHORT_S, source: 'callback', publishes: true }) },
    { ...chiyo, id: await enter(chiyo.page, { identity: 'chiyo', seconds: SHORT_S, source: 'renewed', publishes: true }) },
  ];
  for (const { id } of others) await sees(ana.page, id, 50);
  const before = await noted(ana.page);
  for (const { page } of others) await page.evaluate(() => Object.assign(globalThis.noted, { connection: [], media: [] }));

  for (const { tokens } of others) {
    const [end, count] = [tokens.at(-1) ?? 0, tokens.length];
    await until(async () => (tokens.length > count + 1 && Date.now() > end ? true : undefined), 'a token that was replaced has run out');
  }
  for (const { page, id } of others) {
    await sees(ana.page, id, 50);
    const { connection, media, closed, state, same } = await noted(page);
    assert.deepEqual({ connection, media, closed, state, same }, { connection: [], media: [], closed: [], state: 'open', same: true });
  }
  const { events, frames, now } = await noted(ana.page);
  assert.deepEqual(events.slice(before.events.length), [], 'nobody left, nothing ended');
  for (const { id } of others) {
    const of = frames.filter(({ participant }) => participant === id);
    t.diagnostic(`longest time without a picture: ${Math.round(longestGap(of, { from: before.now, to: now }))} ms`);
  }
});

for (const { source, code } of /** @type {const} */ ([{ source: 'once', code: 'token_expired' }, { source: 'refused', code: 'not_allowed' }])) {
  test(`without another token the session ends: ${code}`, async (t) => {
    const [ana, ben] = await open(t, 2);
    await enter(ana.page, { identity: 'ana', seconds: LONG_S, source: 'once', publishes: false });
    const id = await enter(ben.page, { identity: 'ben', seconds: SHORT_S, source, publishes: true });
    await sees(ana.page, id, 10);
    await ben.page.waitForFunction(() => globalThis.noted.closed.length > 0);
    const { closed, state } = await noted(ben.page);
    assert.deepEqual({ closed, state }, { closed: [code], state: 'closed' });
    assert.ok(Date.now() >= ben.tokens[0], 'not before its end');
    assert.equal(await ben.page.evaluate(() => globalThis.room.media.state), 'off');
    await ana.page.waitForFunction(() => globalThis.noted.events.some(([kind]) => kind === 'left'));
    const { events } = await noted(ana.page);
    assert.deepEqual(events.slice(-2), [['unpublished', id, undefined], ['left', id, 'expired']]);
    assert.equal(await ana.page.evaluate(() => globalThis.room.state.publications.size), 0);
  });
}
