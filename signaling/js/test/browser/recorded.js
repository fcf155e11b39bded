import { hostClass, joinClass, openPage, seesAndHears, writeSteps } from './harness.js';

/**
 * Records a short class of three: two steps, a tick and a chat line in the second; ends without stopping anything.
 * @param {import('node:test').TestContext} t
 * @param {{url: string}} server
 * @param {import('playwright-core').Browser} browser
 */
export async function recordClass(t, server, browser) {
  const pages = await Promise.all([1, 2, 3].map(() => openPage(t, browser)));
  const [host, ben, chiyo] = pages;
  const link = await hostClass(host, server.url);
  await joinClass(ben, link, 'Ben');
  await joinClass(chiyo, link, 'Chiyo');
  for (const page of pages) await seesAndHears(page, 2);
  await writeSteps(host, ['Chop', 'Fry']);
  await host.locator('#control-record').click();
  await host.locator('.badge.recording').waitFor();
  const session = await host.evaluate(() => globalThis.room.state.recording.session);
  const begun = await host.evaluate(() => globalThis.room.clock);
  const recorded = (/** @type {number} */ ms) => host.waitForFunction((at) => globalThis.room.clock > at, begun + ms);
  await host.getByRole('button', { name: 'Start step 1' }).click();
  await recorded(3_000);
  await host.getByRole('button', { name: 'Start step 2' }).click();
  await ben.locator('.step.now[data-step="1"]').waitFor();
  await chiyo.evaluate(() => globalThis.room.chat('Smells good'));
  await ben.locator('label[for="tick-1"]').click();
  await host.locator('tr:has-text("Ben") td.done').waitFor();
  await recorded(7_000);
  return { session, host, ben, chiyo };
}
