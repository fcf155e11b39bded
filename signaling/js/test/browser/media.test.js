import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostClass, openClass, openPage, seesAndHears, startBrowser, startServer, until } from './harness.js';

test('three people see and hear each other', async (t) => {
  const { host, guests: [ben, chiyo] } = await openClass(t, ['Ben', 'Chiyo']);
  const pages = [host, ben, chiyo];
  for (const page of pages) await seesAndHears(page, 2);

  // One picture is shown large: it comes as large as it is published.
  await host.getByRole('button', { name: 'Show Ben large' }).click();
  const camera = await ben.evaluate(() => globalThis.room.state.publicationOf(globalThis.room.me.id, 'camera').id);
  await until(async () => {
    const sent = await ben.evaluate(async () => {
      const { sending } = await globalThis.room.stats();
      return Math.max(...sending.filter((one) => one.kind === 'video' && one.active !== false).map((one) => one.frameWidth ?? 0));
    });
    const seen = await host.evaluate(async (publication) => {
      const { slots } = await globalThis.room.stats();
      return slots.find((slot) => slot.publication === publication)?.frameWidth;
    }, camera);
    return sent > 0 && seen === sent ? true : undefined;
  }, 'the host sees the largest picture that Ben sends');

  for (const page of pages) {
    const { transport, slots } = await page.evaluate(() => globalThis.room.stats());
    assert.match(transport.srtpCipher, /^(SRTP_)?AEAD_AES_128_GCM$/);
    for (const slot of slots.filter((one) => one.publication !== null && one.kind === 'video')) {
      assert.ok(slot.frameWidth > 0 && slot.frameHeight > 0);
    }
    const shown = await page.evaluate(() => [...document.querySelectorAll('.tile video')].map((v) => v.videoWidth > 0));
    assert.deepEqual(shown, [true, true, true]);
  }
});

test('a camera that is turned off goes dark, and on again comes back', async (t) => {
  const { host, guests: [ben] } = await openClass(t, ['Ben']);
  await seesAndHears(host, 1);
  await ben.locator('#control-cam:not([disabled])').click();
  await host.locator('.tile[data-dark]:has-text("Ben")').waitFor();
  await ben.locator('#control-cam:not([disabled])').click();
  await host.locator('.tile:not([data-dark]):has-text("Ben")').waitFor();
  await seesAndHears(host, 1);
});

test('the host mutes somebody, who can unmute again', async (t) => {
  const { host, guests: [ben] } = await openClass(t, ['Ben']);
  await host.getByRole('button', { name: 'Mute Ben' }).click();
  await ben.locator('#control-mic[aria-pressed="false"]').waitFor();
  assert.equal(await ben.evaluate(() => globalThis.room.media.isSending('microphone')), false);
  await ben.locator('#control-mic').click();
  await ben.locator('#control-mic[aria-pressed="true"]').waitFor();
});

test('without a camera and a microphone one still sees and hears the others', async (t) => {
  const server = await startServer(t);
  const browser = await startBrowser(t);
  const [host, ben] = await Promise.all([openPage(t, browser), openPage(t, browser)]);
  const link = await hostClass(host, server.url);
  await ben.addInitScript(() => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'));
  });
  await ben.goto(link);
  await ben.locator('.problem', { hasText: 'may not use your camera' }).waitFor();
  await ben.locator('#name').fill('Ben');
  await ben.getByRole('button', { name: 'Join the class' }).click();
  await ben.waitForFunction(() => globalThis.room?.connection === 'open');
  await seesAndHears(ben, 1);
});
