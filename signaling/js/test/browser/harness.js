/**
 * What every browser test stands on: the real server, a real Chromium, and a wire between them that can be cut.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
/** Where screenshots go. */
export const OUTPUT = fileURLToPath(new URL('../../test-output/', import.meta.url));

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
];

export const DESK = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

/** Time within which what a test waits for has to happen, in milliseconds. */
export const PATIENCE = 30_000;

/**
 * Starts the server on a data folder of its own and waits until it says it is ready.
 * @param {import('node:test').TestContext} t stops the server and removes the folder after the test
 * @param {{advertise?: string[], key?: string}} [options] where it says its media port is, and what signs its tokens, unless the sample does
 */
export async function startServer(t, { advertise = (process.env.MEDIA_ADDRESSES ?? '127.0.0.1').split(','), key } = {}) {
  const data = await mkdtemp(path.join(os.tmpdir(), 'simmer-browser-'));
  const start = (/** @type {number} */ port) => launch(data, port, advertise, key);
  const server = { data, url: '', port: 0, metrics: '', process: start(0) };
  Object.assign(server, await ready(server.process));
  t.after(async () => {
    await kill(server.process);
    await rm(data, { recursive: true, force: true });
  });
  return {
    /** The server's address. */
    get url() {
      return server.url;
    },
    get port() {
      return server.port;
    },
    data,
    /**
     * One of the server's counters now.
     * @param {string} name
     */
    async counted(name) {
      const text = await (await fetch(`http://${server.metrics}/metrics`)).text();
      return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
    },
    /** Ends the process as a crash would, and starts another on the same port and folder. */
    async crash() {
      await kill(server.process);
      server.process = start(server.port);
      Object.assign(server, await ready(server.process));
    },
  };
}

/**
 * @param {string} data
 * @param {number} port
 * @param {string[]} advertise
 * @param {string} [key]
 */
function launch(data, port, advertise, key) {
  const target = process.env.CARGO_TARGET_DIR ?? path.join(ROOT, 'target');
  const binary = process.env.SIMMER_BIN ?? path.join(target, 'debug', 'simmer');
  return spawn(binary, [
    'serve', '--listen', `127.0.0.1:${port}`, ...advertise.flatMap((address) => ['--advertise', address]),
    '--data', data, '--metrics-listen', '127.0.0.1:0', ...(key ? ['--key', key] : []),
  ], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** @param {import('node:child_process').ChildProcess} child */
function ready(child) {
  return new Promise((resolve, reject) => {
    let said = '';
    let url = '';
    let metrics = '';
    // Each is told on another pipe.
    const tell = () => {
      if (url && metrics) resolve({ url, port: Number(new URL(url).port), metrics });
    };
    createInterface({ input: child.stdout }).on('line', (line) => {
      url = /^Simmer is ready: (http:\/\/[^\s/]+)/.exec(line)?.[1] ?? url;
      tell();
    });
    createInterface({ input: child.stderr }).on('line', (line) => {
      metrics = /metrics=(\S+)/.exec(line)?.[1] ?? metrics;
      tell();
      said = `${said}${line}\n`.slice(-4000);
      if (process.env.SHOW_LOG) process.stderr.write(`${line}\n`);
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`The server ended with ${code} before it was ready:\n${said}`)));
  });
}

/** @param {import('node:child_process').ChildProcess} child */
async function kill(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** @param {import('node:test').TestContext} t */
export async function startBrowser(t) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
  });
  t.after(() => browser.close());
  return browser;
}

/**
 * A page with a profile of its own; an error in it fails the test.
 * @param {import('node:test').TestContext} t
 * @param {import('playwright-core').Browser} browser
 * @param {import('playwright-core').BrowserContextOptions} [options]
 */
export async function openPage(t, browser, options = {}) {
  const context = await browser.newContext({ viewport: DESK, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  /** @type {Error[]} */
  const errors = [];
  page.on('pageerror', (error) => errors.push(error));
  t.after(() => {
    if (errors.length > 0) throw new Error(`An error in the page: ${errors.map((error) => error.stack).join('\n')}`);
  });
  return page;
}

/**
 * Makes a class by its page and brings the host in.
 * @param {import('playwright-core').Page} page
 * @param {string} url
 * @param {string} [name]
 * @returns {Promise<string>} the link for guests
 */
export async function hostClass(page, url, name = 'Ana') {
  await page.goto(`${url}/demo/class`);
  await page.getByRole('button', { name: 'Create a class' }).click();
  const link = await page.locator('#guest-link').inputValue();
  await page.getByRole('link', { name: 'Enter as host' }).click();
  await enter(page, name);
  return link;
}

/**
 * @param {import('playwright-core').Page} page
 * @param {string} link
 * @param {string} name
 */
export async function joinClass(page, link, name) {
  await page.goto(link);
  await enter(page, name);
}

/**
 * A class on a server of its own: its host, Ana, and these guests, each in a page of their own, all of them in.
 * @param {import('node:test').TestContext} t
 * @param {string[]} names
 * @param {Parameters<typeof startServer>[1]} [options]
 */
export async function openClass(t, names, options) {
  const server = await startServer(t, options);
  const browser = await startBrowser(t);
  const [host, ...guests] = await Promise.all(['Ana', ...names].map(() => openPage(t, browser)));
  const link = await hostClass(host, server.url);
  for (const [index, guest] of guests.entries()) await joinClass(guest, link, names[index]);
  return { server, browser, link, host, guests };
}

/**
 * @param {import('playwright-core').Page} page
 * @param {string} name
 */
async function enter(page, name) {
  await page.locator('#name').fill(name);
  await page.waitForFunction(() => {
    const preview = document.querySelector('.preview');
    return preview instanceof HTMLVideoElement && preview.videoWidth > 0;
  });
  await page.getByRole('button', { name: 'Join the class' }).click();
  await page.waitForFunction(() => globalThis.room?.connection === 'open');
}

/**
 * The host writes these steps.
 * @param {import('playwright-core').Page} host
 * @param {string[]} titles
 */
export async function writeSteps(host, titles) {
  await host.locator('#edit-steps').click();
  await host.locator('#steps-text').fill(titles.join('\n'));
  await host.getByRole('button', { name: 'Save steps' }).click();
  await host.waitForFunction((count) => document.querySelectorAll('.step').length === count, titles.length);
}

/**
 * Waits until this page decodes that many others' pictures and hears that many, newly.
 * @param {import('playwright-core').Page} page
 * @param {number} others
 */
export async function seesAndHears(page, others) {
  // An async predicate of `waitForFunction` would count as true at once: its promise is.
  const received = () => page.evaluate(async () => {
    const { slots } = await globalThis.room.stats();
    return slots.filter((slot) => slot.publication !== null)
      .map(({ kind, publication, framesDecoded, packetsReceived }) => ({ kind, publication, framesDecoded, packetsReceived }));
  });
  const before = new Map((await received()).map((slot) => [slot.publication, slot]));
  await until(async () => {
    const fresh = (await received()).filter(({ kind, publication, ...now }) => {
      const field = kind === 'video' ? 'framesDecoded' : 'packetsReceived';
      return (now[field] ?? 0) > (before.get(publication)?.[field] ?? 0) + 5;
    });
    const count = (kind) => fresh.filter((slot) => slot.kind === kind).length;
    return count('video') >= others && count('audio') >= others ? true : undefined;
  }, `${others} others are seen and heard`);
}

/**
 * Waits until so much has come to this page that it counts on more.
 * @param {import('playwright-core').Page} page
 */
export async function flows(page) {
  await until(async () => {
    const { slots } = await page.evaluate(() => globalThis.room.stats());
    return slots.reduce((sum, { packetsReceived = 0 }) => sum + packetsReceived, 0) > 500 ? true : undefined;
  }, 'packets flow');
}

/**
 * A wire to the server for everything over TCP, which can be cut and joined again, or fall silent. Media goes past it.
 * @param {import('node:test').TestContext} t
 * @param {number} port of the server
 */
export async function openWire(t, port) {
  /** @type {Set<net.Socket>} */
  const ends = new Set();
  let whole = true;
  const wire = net.createServer((near) => {
    if (!whole) {
      near.destroy();
      return;
    }
    const far = net.connect(port, '127.0.0.1');
    for (const end of [near, far]) {
      ends.add(end);
      end.on('error', () => end.destroy());
      end.on('close', () => {
        ends.delete(end);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    far.pipe(near);
  });
  wire.listen(0, '127.0.0.1');
  await once(wire, 'listening');
  t.after(() => {
    for (const end of ends) end.destroy();
    wire.close();
  });
  const address = /** @type {net.AddressInfo} */ (wire.address());
  return {
    url: `http://127.0.0.1:${address.port}`,
    cut() {
      whole = false;
      for (const end of ends) end.destroy();
    },
    join() {
      whole = true;
    },
    /** What is connected now hears nothing more, not even that it is gone; what comes later does. */
    silence() {
      for (const end of ends) end.unpipe().pause();
    },
  };
}

/**
 * Waits until `probe` gives something other than undefined.
 * @template T
 * @param {() => Promise<T | undefined>} probe
 * @param {string} what
 * @returns {Promise<T>}
 */
export async function until(probe, what) {
  const end = performance.now() + PATIENCE;
  while (performance.now() < end) {
    const found = await probe();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`Waited in vain until ${what}.`);
}

/**
 * Waits until a recording can be replayed; the manifest.
 * @param {string} url of the server
 * @param {string} session
 */
export function manifestOf(url, session) {
  return until(async () => {
    const response = await fetch(`${url}/v1/sessions/${session}`).catch(() => undefined);
    return response?.ok ? response.json() : undefined;
  }, `session ${session} can be replayed`);
}

/**
 * @param {import('playwright-core').Page} page
 * @param {string} name
 */
export async function screenshot(page, name) {
  await mkdir(OUTPUT, { recursive: true });
  await page.screenshot({ path: path.join(OUTPUT, `${name}.png`) });
}
