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

/**
 * The pair of candidates in use, and the ICE credentials of both sides.
 * @param {import('playwright-core').Page} page
 */
function iceOf(page) {
  return page.evaluate(async () => {
    const { connection } = globalThis.room.media;
    const report = [...(await connection.getStats()).values()];
    const { selectedCandidatePairId } = report.find(({ type }) => type === 'transport');
    const pair = report.find(({ id }) => id === selectedCandidatePairId);
    const remote = report.find(({ id }) => id === pair?.remoteCandidateId);
    const ufrag = (description) => /a=ice-ufrag:(\S+)/.exec(description.sdp)?.[1];
    return { address: remote?.address, ours: ufrag(connection.localDescription), theirs: ufrag(connection.remoteDescription) };
  });
}

test('over IPv6 it is the same', async (t) => {
  const { host, guests: [ben] } = await openClass(t, ['Ben'], { advertise: ['::1'] });
  await seesAndHears(host, 1);
  await seesAndHears(ben, 1);
  assert.equal((await iceOf(host)).address, '::1');
});

test('ICE restarts under a class that goes on', async (t) => {
  const { host, guests: [ben] } = await openClass(t, ['Ben']);
  await seesAndHears(host, 1);
  const before = await iceOf(ben);
  const published = await host.evaluate(() => [...globalThis.room.state.publications.keys()]);
  await ben.evaluate(() => {
    globalThis.former = globalThis.room.media.connection;
    globalThis.dispatchEvent(new Event('online'));
  });
  await until(async () => {
    const { ours, theirs } = await iceOf(ben);
    return ours !== before.ours && theirs !== before.theirs ? true : undefined;
  }, 'new credentials on both sides');
  await seesAndHears(host, 1);
  await seesAndHears(ben, 1);
  assert.ok(await ben.evaluate(() => globalThis.former === globalThis.room.media.connection && globalThis.room.media.state === 'connected'));
  assert.deepEqual(await host.evaluate(() => [...globalThis.room.state.publications.keys()]), published);
});
