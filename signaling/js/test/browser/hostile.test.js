import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { test } from 'node:test';
import { openClass, openPage, seesAndHears } from './harness.js';

/**
 * Sends datagrams of every first byte and many lengths at the media port; resolves with the number of replies.
 * @param {number} port
 */
async function garbage(port) {
  const socket = createSocket('udp4');
  let replies = 0;
  socket.on('message', () => { replies += 1; });
  let state = 7;
  const random = () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state >> 8;
  };
  for (let number = 0; number < 4096; number += 1) {
    const datagram = Buffer.from(Array.from({ length: number % 300 }, () => random() & 255));
    if (datagram.length > 0) datagram[0] = number & 255;
    await new Promise((resolve) => socket.send(datagram, port, '127.0.0.1', resolve));
  }
  await new Promise((resolve) => socket.close(resolve));
  return replies;
}

/**
 * Speaks to the server over a bare WebSocket: sends the frames, resolves with what came until it was closed or had enough.
 * @param {import('playwright-core').Page} page
 * @param {string[]} frames `BIG` stands for a mebibyte of JSON
 * @param {string} last the type of the message that is enough
 */
function converse(page, frames, last) {
  return page.evaluate(([frames, last]) => new Promise((resolve) => {
    const socket = new WebSocket(`ws://${location.host}/v1/ws`);
    /** @type {{type: string, code?: string}[]} */
    const messages = [];
    socket.onopen = () => {
      for (const frame of frames) socket.send(frame === 'BIG' ? JSON.stringify({ type: 'hello', name: 'x'.repeat(1 << 20) }) : frame);
    };
    socket.onmessage = ({ data }) => {
      const { type, code } = JSON.parse(data);
      messages.push({ type, code });
      if (type === last) socket.close();
    };
    socket.onclose = ({ code }) => resolve({ messages, code });
  }), [frames, last]);
}

test('nonsense of every kind gets an error or silence, and the class goes on', async (t) => {
  const { browser, server, host, guests: [ben], link } = await openClass(t, ['Ben']);
  for (const page of [host, ben]) await seesAndHears(page, 1);

  assert.equal(await garbage(server.port), 0, 'a datagram of a stranger is answered');

  const stranger = await openPage(t, browser);
  await stranger.goto(server.url);
  const hello = (token) => JSON.stringify({ type: 'hello', protocol: 1, token, name: 'Mallory' });
  const codes = async (frames, last) => {
    const { messages, code } = await converse(stranger, frames, last);
    return [...messages.filter(({ type }) => type === 'error').map((error) => error.code), code];
  };
  assert.deepEqual(await codes([hello('a.bad.token')]), ['bad_token', 4000]);
  assert.deepEqual(await codes(['{"type":']), ['hello_expected', 4000]);
  assert.deepEqual(await codes(['BIG']), ['too_large', 1009]);

  const { room, key } = Object.fromEntries(new URLSearchParams(new URL(link).hash.slice(1)));
  const answer = await fetch(`${server.url}/demo/class/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ room, key, name: 'Mallory', identity: 'mallory' }),
  });
  const { token } = await answer.json();
  const offer = (sdp) => JSON.stringify({ type: 'offer', id: 1, sdp, tracks: [] });
  assert.deepEqual(await codes([hello(token), offer('nonsense')], 'error'), ['bad_offer', 1005]);
  const deep = `{"type":"do","id":2,"action":${'['.repeat(5000)}${']'.repeat(5000)}}`;
  assert.deepEqual(await codes([hello(token), deep], 'error'), ['bad_json', 1005]);

  for (const page of [host, ben]) await seesAndHears(page, 1);
  await ben.evaluate(() => globalThis.room.chat('nobody noticed'));
  await host.locator('.line .said', { hasText: 'nobody noticed' }).waitFor();
});
