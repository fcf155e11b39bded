import assert from 'node:assert/strict';
import { test } from 'node:test';
import puppeteer from 'puppeteer-core';
import { passThroughPort } from '../../report/page.js';
import { DESK, PATIENCE, flows, hostClass, openPage, openWire, seesAndHears, startBrowser, startServer, until } from '../harness.js';
import { ADDRESS } from '../network.js';
import { noteConnection, notePictures } from '../pictures.js';
import { openRelay } from '../relay.js';

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

/**
 * Ben comes in with Firefox.
 * @param {import('puppeteer-core').Browser} firefox
 * @param {string} link
 * @param {number} [port] of what stands before the media port
 */
async function joinWithFirefox(firefox, link, port) {
  const guest = await firefox.newPage();
  guest.setDefaultTimeout(PATIENCE);
  if (port !== undefined) await guest.evaluateOnNewDocument(passThroughPort, port);
  await guest.goto(link);
  await guest.locator('#name').fill('Ben');
  await guest.waitForFunction(() => document.querySelector('.preview')?.videoWidth > 0);
  await guest.locator('::-p-text(Join the class)').click();
  await guest.waitForFunction(() => globalThis.room?.connection === 'open');
  return guest;
}

test('Firefox joins, sees and hears a Chromium, and is seen and heard by it', async (t) => {
  const server = await startServer(t);
  const [chromium, firefox] = await Promise.all([startBrowser(t), startFirefox(t)]);
  const host = await openPage(t, chromium);
  const link = await hostClass(host, server.url);

  const guest = await joinWithFirefox(firefox, link);
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

  // Its own estimate climbs by our feedback: it begins at 300 kbit/s, and noise takes all that it lets.
  await guest.evaluate(async () => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
    const context = canvas.getContext('2d');
    const noise = context.createImageData(640, 360);
    const words = new Uint32Array(noise.data.buffer);
    setInterval(() => {
      for (let at = 0; at < words.length; at += 1) words[at] = 0xff000000 | (Math.random() * 0x1000000);
      context.putImageData(noise, 0, 0);
    }, 50);
    globalThis.noise = await globalThis.room.media.publishAnother('screen', canvas.captureStream(20).getVideoTracks()[0]);
  });
  let before = { bytes: 0, at: 0 };
  const kbps = await until(async () => {
    const now = await guest.evaluate(async () => {
      const { sending } = await globalThis.room.stats();
      const own = sending.filter(({ publication }) => publication && publication === globalThis.noise.id);
      return { bytes: own.reduce((sum, { bytesSent }) => sum + bytesSent, 0), at: performance.now() };
    });
    if (now.at < before.at + 500) return undefined;
    const rate = (8 * (now.bytes - before.bytes)) / (now.at - before.at);
    const known = before.bytes > 0;
    before = now;
    return known && rate > 1_000 ? rate : undefined;
  }, 'Firefox sends more than a megabit per second');
  console.log(`Firefox, its estimate: ${Math.round(kbps)} kbit/s`);
});

test('Firefox offers what docs/codecs.md says', async (t) => {
  const server = await startServer(t);
  const firefox = await startFirefox(t);
  const page = await firefox.newPage();
  await page.goto(server.url);
  const { sends, receives, offers, refused } = await page.evaluate(async () => {
    const names = ({ codecs }) => codecs.map(({ mimeType }) => mimeType.toLowerCase());
    const of = (rtp) => ['audio', 'video'].flatMap((kind) => names(rtp.getCapabilities(kind)));
    const pc = new RTCPeerConnection();
    pc.addTransceiver('video', { direction: 'sendonly', sendEncodings: [{ rid: 'h' }, { rid: 'm', scaleResolutionDownBy: 2 }] });
    pc.addTransceiver('audio', { direction: 'sendonly' });
    const { sdp } = await pc.createOffer();
    const { requireFormat } = await import('/client/codecs.js');
    const refused = [{ codec: 'vp9', layers: 'L1T2' }, { codec: 'av1', layers: 'L3T3_KEY' }, { codec: 'av1', layers: 'simulcast' }].map((format) => {
      try {
        requireFormat(format);
        return null;
      } catch ({ code }) {
        return code;
      }
    });
    return { sends: of(RTCRtpSender), receives: of(RTCRtpReceiver), offers: sdp.split('m=').slice(1), refused };
  });
  for (const codecs of [sends, receives]) {
    for (const one of ['audio/opus', 'video/vp8', 'video/vp9', 'video/av1']) assert.ok(codecs.includes(one), one);
    assert.equal(codecs.includes('audio/red'), false, 'sound goes once');
  }
  assert.deepEqual(refused, ['unsupported_layers', 'unsupported_layers', null]);
  const [video, audio] = offers;
  assert.match(video, /a=simulcast:send h;m/);
  assert.match(video, /a=extmap:\d+\/recvonly \S+playout-delay/);
  assert.match(video, /a=extmap:\d+\/sendonly \S+dependency-descriptor/);
  for (const offered of [video, audio]) assert.match(offered, /a=extmap:\d+ \S+transport-wide-cc-extensions-01/);
});

/**
 * A class of two, whose guest is a Firefox that reaches the server through a wire and a relay.
 * @param {import('node:test').TestContext} t
 */
async function openFarClass(t) {
  const server = await startServer(t, { advertise: [ADDRESS] });
  const [chromium, firefox] = await Promise.all([startBrowser(t), startFirefox(t)]);
  const [wire, relay] = [await openWire(t, server.port), await openRelay(t, server.port, ADDRESS)];
  const host = await openPage(t, chromium);
  const link = await hostClass(host, server.url);
  const ben = await joinWithFirefox(firefox, link.replace(server.url, wire.url), relay.port);
  for (const page of [host, ben]) await seesAndHears(page, 1);
  await flows(ben);
  return { wire, relay, host, ben };
}

/**
 * What happens to Firefox' way to the server, who finds another by itself: the states of its session.
 * @param {Awaited<ReturnType<typeof openFarClass>>} way
 * @param {string} what
 * @param {() => void} happens
 */
async function changes({ host, ben }, what, happens) {
  const pages = [host, ben];
  const done = await noteConnection(ben);
  const gaps = await Promise.all(pages.map(notePictures));
  happens();
  await until(async () => ((await done()).restarted ? true : undefined), 'ICE restarts');
  for (const page of pages) await seesAndHears(page, 1);
  console.log(`Firefox, ${what}: without pictures for ${(await Promise.all(gaps.map((gap) => gap()))).join(' and ')} ms`);
  const { same, connection, media } = await done();
  assert.deepEqual({ same, media }, { same: true, media: [] }, 'media goes on, before the browser gave it up');
  return connection;
}

test('Firefox whose way is gone notices by itself, and so again', async (t) => {
  const way = await openFarClass(t);
  for (const what of ['its way gone', 'its way gone again']) {
    const connection = await changes(way, what, () => way.relay.lose());
    assert.deepEqual(connection, [], 'the WebSocket was heard');
  }
});

test('when the whole network of a Firefox is another, the WebSocket is, too', async (t) => {
  const way = await openFarClass(t);
  const connection = await changes(way, 'its network gone', () => (way.relay.lose(), way.wire.silence()));
  assert.deepEqual(connection, ['connecting', 'open']);
});
