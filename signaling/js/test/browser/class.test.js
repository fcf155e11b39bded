import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostClass, openClass, openPage, startBrowser, startServer, writeSteps } from './harness.js';

const STEPS = ['Chop the onions', 'Fry them gently', 'Add the stock'];

test('a class: steps, ticks, chat and hands reach everybody in one order', async (t) => {
  const { host, guests: [ben, chiyo] } = await openClass(t, ['Ben', 'Chiyo']);
  for (const page of [host, ben, chiyo]) {
    await page.waitForFunction(() => document.querySelectorAll('.tile').length === 3);
    await page.evaluate(() => {
      globalThis.seen = [];
      globalThis.room.addEventListener('change', ({ detail }) => {
        if (detail && !['published', 'unpublished'].includes(detail.kind)) globalThis.seen.push(`${detail.seq} ${detail.kind}`);
      });
    });
  }

  await writeSteps(host, STEPS);
  await host.getByRole('button', { name: 'Start step 1' }).click();
  for (const page of [ben, chiyo]) await page.locator('.step.now[data-step="0"]').waitFor();
  await ben.locator('label[for="tick-0"]').click();
  await host.locator('tr:has-text("Ben") td.done').waitFor();
  await chiyo.locator('#chat-text').fill('My sauce <b>looks</b> odd');
  await chiyo.locator('#chat-text').press('Enter');
  await host.locator('.line .said', { hasText: 'My sauce <b>looks</b> odd' }).waitFor();
  await chiyo.locator('#control-hand').click();
  await host.locator('tr:has-text("Chiyo") .badge.hand').waitFor();
  await host.getByRole('button', { name: 'Start step 2' }).click();
  await ben.locator('.step.now[data-step="1"]').waitFor();
  await ben.locator('label[for="tick-0"]').click();
  await host.waitForFunction(() => !document.querySelector('tr td.done'));

  const last = await host.evaluate(() => globalThis.room.state.seq);
  const logs = [];
  for (const page of [host, ben, chiyo]) {
    await page.waitForFunction((seq) => globalThis.room.state.seq >= seq, last);
    logs.push(await page.evaluate(() => globalThis.seen));
  }
  assert.deepEqual(logs[0].map((line) => line.split(' ')[1]), [
    'steps_set', 'step_started', 'step_ticked', 'chat', 'hand', 'step_started', 'step_ticked',
  ]);
  assert.deepEqual(logs[1], logs[0]);
  assert.deepEqual(logs[2], logs[0]);
});

test('a reload comes back as the same participant, with the ticks in place', async (t) => {
  const { host, guests: [ben] } = await openClass(t, ['Ben']);
  await writeSteps(host, STEPS);
  await ben.locator('label[for="tick-1"]').click();
  await host.locator('tr:has-text("Ben") td.done').waitFor();
  const before = await ben.evaluate(() => globalThis.room.me.id);
  await ben.reload();
  await ben.waitForFunction(() => globalThis.room?.connection === 'open');
  assert.equal(await ben.evaluate(() => globalThis.room.me.id), before);
  assert.equal(await ben.locator('#tick-1').isChecked(), true);
  await host.waitForFunction(() => document.querySelectorAll('.tile').length === 2);
});

test('a participant may not start steps; the refusal has a code', async (t) => {
  const { host, guests: [ben] } = await openClass(t, ['Ben']);
  await writeSteps(host, STEPS);
  assert.equal(await ben.getByRole('button', { name: 'Start step 1' }).count(), 0);
  assert.equal(await ben.evaluate(() => globalThis.room.startStep(0).catch((error) => error.code)), 'not_allowed');
});

test('who is removed is told so, and does not come back in', async (t) => {
  const { host, guests: [ben] } = await openClass(t, ['Ben']);
  await host.getByRole('button', { name: 'Remove Ben' }).click();
  await host.locator('dialog').getByRole('button', { name: 'Remove' }).click();
  await ben.locator('[data-reason="kicked"]').waitFor();
  await host.waitForFunction(() => document.querySelectorAll('.tile').length === 1);
  await ben.reload();
  await ben.locator('#name').fill('Ben');
  await ben.getByRole('button', { name: 'Join the class' }).click();
  await ben.locator('[data-reason="kicked"]').waitFor();
});

test('the end is the end for everybody', async (t) => {
  const { host, guests: [ben] } = await openClass(t, ['Ben']);
  await host.locator('#control-end').click();
  await host.locator('dialog').getByRole('button', { name: 'End the class' }).click();
  for (const page of [host, ben]) await page.locator('[data-reason="room_ended"]').waitFor();
});

test('a link with a wrong key opens nothing', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const [host, ben] = await Promise.all([openPage(t, browser), openPage(t, browser)]);
  const link = await hostClass(host, server.url);
  await ben.goto(link.replace(/key=[^&]+/, 'key=guessed'));
  await ben.locator('#name').fill('Ben');
  await ben.getByRole('button', { name: 'Join the class' }).click();
  await ben.getByRole('heading', { name: 'This link does not open a class' }).waitFor();
});
