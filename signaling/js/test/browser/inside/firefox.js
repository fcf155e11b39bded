import assert from 'node:assert/strict';
import { test } from 'node:test';
import puppeteer from 'puppeteer-core';
import { DESK, PATIENCE, hostClass, openPage, seesAndHears, startBrowser, startServer, until } from '../harness.js';

/**
 * A real Firefox with a profile of its own and fake devices.
 * @param {import('node:test').TestContext} t
 */
async function startFirefox(t) {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
    headless: true,
    defaultViewport: DESK,
    extraPrefsFirefox: {
      'media.navigator.streams.fake': true,
      'media.navigator.permission.disabled': true,
      'media.autoplay.default': 0,
    },
  });
  t.after(() => browser.close());
  return browser;
}

test('Firefox joins, sees and hears a Chromium, and is seen and heard by it', async (t) => {
  const server = await startServer(t);
  const [chromium, firefox] = await Promise.all([startBrowser(t), startFirefox(t)]);
  const host = await openPage(t, chromium);
  const link = await hostClass(host, server.url);

  const guest = await firefox.newPage();
  guest.setDefaultTimeout(PATIENCE);
  await guest.goto(link);
  await guest.locator('#name').fill('Ben');
  await guest.waitForFunction(() => document.querySelector('.preview')?.videoWidth > 0);
  await guest.locator('::-p-text(Join the class)').click();
  await guest.waitForFunction(() => globalThis.room?.connection === 'open');

  await seesAndHears(host, 1);
  await seesAndHears(guest, 1);

  // The picture that Firefox shows is the one that Chromium sends, and the other way round.
  for (const page of [host, guest]) {
    const widths = await page.evaluate(() => [...document.querySelectorAll('.tile video')].map((video) => video.videoWidth));
    assert.equal(widths.length, 2);
    assert.ok(widths.every((width) => width > 0), `${widths}`);
  }

  // It obeys: an encoding that nobody needs is not sent, and comes back when somebody does.
  const active = () => guest.evaluate(() => {
    const sender = globalThis.room.media.connection.getSenders().find((one) => one.track?.kind === 'video');
    return sender.getParameters().encodings.map((encoding) => encoding.active);
  });
  await until(async () => ((await active()).includes(false) ? true : undefined), 'Firefox pauses what nobody needs');
  await host.getByRole('button', { name: 'Show Ben large' }).click();
  await until(async () => ((await active())[0] ? true : undefined), 'Firefox sends the largest picture again');
  const camera = await guest.evaluate(() => globalThis.room.state.publicationOf(globalThis.room.me.id, 'camera').id);
  await until(async () => {
    const seen = await host.evaluate(async (publication) => {
      const { slots } = await globalThis.room.stats();
      return slots.find((slot) => slot.publication === publication)?.frameHeight;
    }, camera);
    const own = await guest.evaluate(() => globalThis.room.media.trackOf('camera').getSettings().height);
    return seen === own ? true : undefined;
  }, 'the host sees all of it');
});
