import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { manifestOf, openPage, startBrowser, startServer, until } from './harness.js';
import { decodeTrack, probeTrack } from './probe.js';
import { recordClass } from './recorded.js';

test('a server killed while it records recovers the session at its next start', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const { session } = await recordClass(t, server, browser);
  await server.crash();

  await until(async () => {
    const { sessions } = await (await fetch(`${server.url}/v1/sessions`)).json();
    return sessions.find((one) => one.id === session && one.recovered) ?? undefined;
  }, 'the session is listed as recovered');
  const manifest = await manifestOf(server.url, session);
  assert.equal(manifest.recovered, true);
  // A busy sender changes its picture's size, and a new size begins a new file: what was recorded of each publication counts.
  const lengths = new Map();
  for (const track of manifest.tracks) {
    const file = path.join(server.data, 'sessions', session, 'tracks', track.file);
    const { codec, durationMs, complaints } = await probeTrack(file);
    assert.equal(complaints, '', track.file);
    assert.equal(codec, track.kind === 'video' ? 'vp8' : 'opus');
    assert.ok(Math.abs(durationMs - track.duration_ms) < 1000, `${track.file}: ${durationMs} ms, manifest ${track.duration_ms} ms`);
    lengths.set(track.publication, (lengths.get(track.publication) ?? 0) + durationMs);
    assert.equal(await decodeTrack(file), '', track.file);
  }
  assert.equal(lengths.size, 6);
  for (const [publication, length] of lengths) assert.ok(length > 4000, `${publication} is there but for the last moments: ${length} ms`);

  const page = await openPage(t, browser);
  await page.goto(`${server.url}/replay/${session}`);
  await page.getByText('recovered after an interruption').waitFor();
  await page.getByRole('button', { name: 'Go to step 2: Fry' }).click();
  await page.getByRole('button', { name: 'Play' }).click();
  await page.waitForFunction(() => {
    const { clock, tracks } = globalThis.player;
    const plays = tracks.filter((track) => track.covers(clock.time) && !track.element.paused && track.element.currentTime > 0);
    return new Set(plays.map(({ entry }) => entry.publication)).size === 6 && tracks.every(({ element }) => !element.error);
  });
});

test('after a crash the class goes on by itself', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const { host, ben } = await recordClass(t, server, browser);
  await server.crash();
  for (const page of [host, ben]) await page.waitForFunction(() => globalThis.room.connection === 'open');
  await host.waitForFunction(() => globalThis.room.state.present.length === 3);
  await ben.evaluate(() => globalThis.room.chat('still here'));
  await host.locator('.line .said', { hasText: 'still here' }).waitFor();
});
