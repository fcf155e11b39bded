import { test } from 'node:test';
import assert from 'node:assert/strict';
import { DESK, hostClass, joinClass, openPage, PHONE, screenshot, startBrowser, startServer, writeSteps } from './harness.js';

/** Fails when something is wider than the window. */
async function fits(page, name) {
  const { wide, window } = await page.evaluate(() => ({ wide: document.documentElement.scrollWidth, window: innerWidth }));
  assert.ok(wide <= window, `${name} is ${wide} px wide in a window of ${window} px`);
}

test('every page fits a phone and a desk, in the light and in the dark', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const looks = [
    { suffix: '1280', viewport: DESK, colorScheme: 'light' },
    { suffix: '390', viewport: PHONE, colorScheme: 'light' },
    { suffix: '1280-dark', viewport: DESK, colorScheme: 'dark' },
  ];
  for (const { suffix, ...look } of looks) {
    const page = await openPage(t, browser, /** @type {any} */ (look));
    for (const [name, address, shown] of [
      ['home', '/', '.demo'], ['create', '/demo/class', '.primary'], ['replays', '/demo/replay/index.html', 'h1'],
    ]) {
      await page.goto(`${server.url}${address}`);
      await page.locator(shown).first().waitFor();
      await fits(page, name);
      await screenshot(page, `${name}-${suffix}`);
    }
  }

  const host = await openPage(t, browser, { viewport: DESK });
  const ben = await openPage(t, browser, { viewport: PHONE });
  const chiyo = await openPage(t, browser, { viewport: DESK, colorScheme: 'dark' });
  const link = await hostClass(host, server.url, 'Ana Maria');
  await ben.goto(link);
  await ben.locator('#name').waitFor();
  await fits(ben, 'door');
  await screenshot(ben, 'door-390');
  await joinClass(ben, link, 'Ben');
  await joinClass(chiyo, link, 'Chiyo Tanaka');
  await writeSteps(host, ['Chop onions and garlic, as fine as you like', 'Fry gently until golden', 'Add stock and simmer', 'Taste and season']);
  await host.getByRole('button', { name: 'Start step 1' }).click();
  await ben.locator('.step.now').waitFor();
  await ben.locator('label[for="tick-0"]').click();
  await chiyo.evaluate(() => globalThis.room.chat('My sauce looks odd, is it meant to be this thick?'));
  await chiyo.locator('#control-hand').click();
  await host.locator('.matrix .badge.hand').waitFor();
  await host.locator('.matrix td.done').waitFor();
  for (const [page, name] of /** @type {const} */ ([[host, 'class-host-1280'], [ben, 'class-390'], [chiyo, 'class-1280-dark']])) {
    await fits(page, name);
    await screenshot(page, name);
  }
  await host.setViewportSize(PHONE);
  await host.getByRole('button', { name: 'Progress' }).click();
  await fits(host, 'class-host-390');
  await screenshot(host, 'class-host-390');
});

test('a class can be joined and worked in with the keyboard alone', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const page = await openPage(t, browser);
  await page.goto(`${server.url}/demo/class`);
  await page.getByRole('button', { name: 'Create a class' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'Enter as host' }).focus();
  await page.keyboard.press('Enter');
  await page.locator('#name:focus').waitFor();
  await page.keyboard.type('Ana');
  await page.keyboard.press('Enter');
  await page.locator('#edit-steps').focus();
  await page.keyboard.press('Enter');
  await page.keyboard.type('Chop');
  await page.getByRole('button', { name: 'Save steps' }).focus();
  await page.keyboard.press('Enter');
  // Saved: the focus is back where the writing began.
  await page.locator('#edit-steps:focus').waitFor();
  await page.locator('#tick-0').focus();
  await page.keyboard.press('Space');
  await page.waitForFunction(() => globalThis.room.state.isDone(globalThis.room.me.id, 0));
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'tick-0', 'the focus stays where it was');
});
