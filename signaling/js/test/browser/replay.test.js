import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { DESK, manifestOf, openPage, PHONE, screenshot, startBrowser, startServer } from './harness.js';
import { decodeTrack, probeTrack } from './probe.js';
import { recordClass } from './recorded.js';

test('a recorded class replays: on one clock, from step 2, with its chat and its tick', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const { session, host } = await recordClass(t, server, browser);
  await host.locator('#control-end').click();
  await host.locator('dialog').getByRole('button', { name: 'End the class' }).click();
  assert.equal(await host.locator('#replay-link').getAttribute('href'), `/replay/${session}`);
  const manifest = await manifestOf(server.url, session);

  await t.test('the manifest holds what happened', () => {
    assert.equal(manifest.recovered, false);
    assert.deepEqual(manifest.participants.map((p) => p.name).sort(), ['Ana', 'Ben', 'Chiyo']);
    assert.deepEqual(manifest.chapters.map((c) => c.title), ['Chop', 'Fry']);
    // A busy sender changes its picture's size, and a new size begins a new file of the same publication.
    const kinds = manifest.participants.map(({ id }) => new Set(manifest.tracks.filter((track) => track.participant === id).map((track) => track.kind)));
    assert.deepEqual(kinds, [new Set(['audio', 'video']), new Set(['audio', 'video']), new Set(['audio', 'video'])]);
    assert.equal(new Set(manifest.tracks.map((track) => track.publication)).size, 6);
  });

  await t.test('every track is whole', async () => {
    for (const track of manifest.tracks) {
      const file = path.join(server.data, 'sessions', session, 'tracks', track.file);
      const { codec, durationMs, complaints } = await probeTrack(file);
      assert.equal(complaints, '', track.file);
      assert.equal(codec, track.kind === 'video' ? 'vp8' : 'opus');
      assert.ok(Math.abs(durationMs - track.duration_ms) < 1000, `${track.file}: ${durationMs} ms, manifest ${track.duration_ms} ms`);
      assert.equal(await decodeTrack(file), '', track.file);
    }
  });

  await t.test('the page plays it', async () => {
    const page = await openPage(t, browser, { viewport: DESK });
    await page.goto(`${server.url}/replay/${session}`);
    await page.getByRole('button', { name: 'Go to step 2: Fry' }).click();
    const step = manifest.chapters[1].start_ms;
    assert.equal(await page.evaluate(() => globalThis.player.clock.time), step);
    await page.getByRole('button', { name: 'Play' }).click();
    await page.waitForFunction((at) => globalThis.player.clock.time > at + 1500
      && globalThis.player.tracks.filter((track) => track.covers(globalThis.player.clock.time))
        .every(({ element }) => !element.paused && element.readyState >= 2), step);
    await page.locator('.moment[data-kind="chat"]:not([data-later])', { hasText: 'Smells good' }).waitFor();
    await page.waitForFunction(() => globalThis.player.tracks.filter((track) => track.covers(globalThis.player.clock.time))
      .every((track) => Math.abs(track.behind(globalThis.player.clock.time)) < 150));
    await page.locator('.progress-cell.done[aria-label^="Ben, step 2"]').waitFor();
    await screenshot(page, 'replay-1280');
    await page.getByRole('button', { name: 'Pause' }).click();

    // A chat line and a tick lead to their moments.
    await page.locator('.moment[data-kind="step_started"]').first().click();
    assert.equal(await page.evaluate(() => globalThis.player.clock.time), manifest.chapters[0].start_ms);
    await page.waitForFunction(() => !document.querySelector('.progress-cell.done'));
    await page.locator('.moment', { hasText: 'Smells good' }).click();
    assert.ok(await page.evaluate(() => globalThis.player.clock.time) >= step);

    // Keys: five seconds back, and play.
    const before = await page.evaluate(() => globalThis.player.clock.time);
    await page.locator('#seek').focus();
    await page.keyboard.press('ArrowLeft');
    assert.equal(await page.evaluate(() => globalThis.player.clock.time), Math.max(0, before - 5000));
    await page.keyboard.press('Space');
    await page.waitForFunction(() => globalThis.player.clock.playing);
  });

  await t.test('on a phone, in the dark', async () => {
    const page = await openPage(t, browser, { viewport: PHONE, colorScheme: 'dark' });
    await page.goto(`${server.url}/replay/${session}`);
    await page.getByRole('button', { name: 'Go to step 2: Fry' }).click();
    await page.waitForFunction(() => globalThis.player.tracks.every(({ element }) => element.readyState >= 2 && !element.seeking));
    await screenshot(page, 'replay-390-dark');
  });

  await t.test('the list leads to it', async () => {
    const page = await openPage(t, browser);
    await page.goto(`${server.url}/demo/replay/index.html`);
    await page.locator(`[data-session="${session}"]`).click();
    await page.getByRole('heading', { name: 'Cooking class' }).waitFor();
  });
});

test('a replay opened too early says so and opens by itself', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const { session, host } = await recordClass(t, server, browser);
  const page = await openPage(t, browser);
  await page.goto(`${server.url}/replay/${session}`);
  await page.getByRole('heading', { name: 'Not ready yet' }).waitFor();
  await host.locator('#control-record').click();
  await page.locator('#play').waitFor();
});

test('after the end a link leads everybody to the replay', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const { session, host, ben } = await recordClass(t, server, browser);
  await host.locator('#control-end').click();
  await host.locator('dialog').getByRole('button', { name: 'End the class' }).click();
  for (const page of [host, ben]) {
    await page.locator('[data-reason="room_ended"]').waitFor();
    assert.equal(await page.locator('#replay-link').getAttribute('href'), `/replay/${session}`);
  }
  await ben.locator('#replay-link').click();
  await ben.getByRole('button', { name: 'Play' }).click();
  await ben.waitForFunction(() => globalThis.player.tracks.some(({ element }) => element.currentTime > 0.5));
});
