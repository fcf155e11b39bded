/**
 * What every scenario is played on: the server, lines in front of it, and pages of a real Chromium behind them.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';
import { passThroughPort, publish, resize, watch } from './page.js';

/**
 * @typedef {object} Window what a line did one way since its last report
 * @property {number} bytes_in
 * @property {number} bytes_out
 * @property {number} packets
 * @property {number} lost
 * @property {number} dropped
 * @property {number} queue_p95_ms
 * @property {number} queue_max_ms
 *
 * @typedef {{at: number, clients: number, up: Window, down: Window}} LineReport
 * @typedef {{at: number, participants: Record<string, any>[]}} ServerReport
 * @typedef {{at: number, label: string}} Mark
 */

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-background-timer-throttling', '--disable-renderer-backgrounding',
  '--disable-backgrounding-occluded-windows', '--autoplay-policy=no-user-gesture-required',
];
const SAMPLE_MS = 200;
const REPORT_MS = 100;
const PATIENCE = 20_000;
/** Frames a second of an encoding that a browser does not starve. */
const FLOWING = 15;

const run = promisify(execFile);

/** @param {number} ms */
export const pass = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Now, in milliseconds of Unix time. */
export const now = () => performance.timeOrigin + performance.now();

/** One run: everything it starts ends with it. */
export class Stage {
  /** @param {{simmer: string, bench: string}} binaries */
  constructor(binaries) {
    this.#binaries = binaries;
  }

  /** What happened when. @type {Mark[]} */
  marks = [];
  /** @type {Line[]} */
  lines = [];
  /** @type {Actor[]} */
  actors = [];
  /** What `GET /debug/media` said. @type {ServerReport[]} */
  server = [];

  /** Starts the server and the browser. */
  async open() {
    this.#data = await mkdtemp(path.join(os.tmpdir(), 'simmer-report-'));
    this.#port = await freePort();
    const metrics = await freePort();
    const child = spawn(this.#binaries.simmer, [
      'serve', '--listen', `127.0.0.1:${this.#port}`, '--media-listen', `127.0.0.1:${this.#port}`, '--advertise', '127.0.0.1',
      '--data', this.#data, '--metrics-listen', `127.0.0.1:${metrics}`,
    ], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#children.push(child);
    this.#said = collectEnd(child.stderr);
    await line(child, child.stdout, /^Simmer is ready/);
    this.#browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
    this.#polling = setInterval(() => this.#poll(metrics), SAMPLE_MS);
  }

  /** Ends everything. */
  async close() {
    clearInterval(this.#polling);
    await this.#browser?.close();
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill('SIGINT');
      const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await ended;
      clearTimeout(late);
    }
    if (this.#data) await rm(this.#data, { recursive: true, force: true });
  }

  /** The last of what the server logged. */
  get log() {
    return this.#said();
  }

  /**
   * A line to the server.
   * @param {string} [settings] what `Line.change` takes, from the beginning
   * @param {{shared?: boolean, seed?: number}} [options] whether its clients share one way down
   */
  async line(settings, { shared = false, seed = 1 } = {}) {
    const child = spawn(this.#binaries.bench, [
      'link', '--to', `127.0.0.1:${this.#port}`, '--report-ms', String(REPORT_MS), '--seed', String(seed),
      ...(shared ? ['--shared-down'] : []),
    ], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#children.push(child);
    const [, port] = await line(child, child.stdout, /^relaying [^\s]*:(\d+) /);
    const opened = new Line(child, Number(port));
    if (settings) opened.change(settings);
    this.lines.push(opened);
    return opened;
  }

  /**
   * Somebody who publishes a camera.
   * @param {{line?: Line, height?: number, sampleMs?: number}} [options]
   */
  publisher({ line: through, height = 540, sampleMs = SAMPLE_MS } = {}) {
    const options = { width: (height * 16) / 9, height, sampleMs };
    return this.#actor('publisher', through, (page, token) => page.evaluate(publish, { token, ...options }));
  }

  /**
   * Somebody who sees the first publisher this tall.
   * @param {{line?: Line, height?: number, sampleMs?: number}} [options]
   */
  watcher({ line: through, height = 540, sampleMs = SAMPLE_MS } = {}) {
    return this.#actor('watcher', through, (page, token) => page.evaluate(watch, { token, height, sampleMs }));
  }

  /**
   * Notes what happens now.
   * @param {string} label
   */
  mark(label) {
    const at = now();
    this.marks.push({ at, label });
    return at;
  }

  /**
   * @param {'publisher' | 'watcher'} role
   * @param {Line | undefined} through
   * @param {(page: import('playwright-core').Page, token: string) => Promise<string>} enter
   */
  async #actor(role, through, enter) {
    const identity = `${role}-${this.actors.length}`;
    const { stdout } = await run(this.#binaries.simmer, ['token', '--room', 'report', '--identity', identity]);
    const context = await this.#browser.newContext({ viewport: { width: 1280, height: 800 } });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    if (through) await page.addInitScript(passThroughPort, through.port);
    await page.goto(`http://127.0.0.1:${this.#port}/`);
    const actor = new Actor(role, page, await enter(page, stdout.trim()));
    this.actors.push(actor);
    return actor;
  }

  /** @param {number} port */
  async #poll(port) {
    const answer = await fetch(`http://127.0.0.1:${port}/debug/media`).catch(() => undefined);
    if (answer?.ok) this.server.push({ at: now(), .../** @type {any} */ (await answer.json()) });
  }

  #binaries;
  #data = '';
  #port = 0;
  /** @type {import('node:child_process').ChildProcess[]} */
  #children = [];
  /** @type {import('playwright-core').Browser} */
  #browser = /** @type {any} */ (undefined);
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #polling;
  #said = () => '';
}

/** A line to the server that can get worse and better. */
export class Line {
  /**
   * @param {import('node:child_process').ChildProcess} child
   * @param {number} port
   */
  constructor(child, port) {
    this.#child = child;
    this.port = port;
    createInterface({ input: /** @type {any} */ (child.stdout) }).on('line', (text) => {
      if (!text.startsWith('{')) return;
      const { at_ms: at, ...report } = JSON.parse(text);
      this.reports.push({ at, ...report });
    });
  }

  /** @type {LineReport[]} */
  reports = [];

  /** @param {string} text as `bench/README.md` has it, such as `down rate=600k` */
  change(text) {
    this.#child.stdin?.write(`${text}\n`);
  }

  #child;
}

/** A participant in a page. */
export class Actor {
  /**
   * @param {'publisher' | 'watcher'} role
   * @param {import('playwright-core').Page} page
   * @param {string} id
   */
  constructor(role, page, id) {
    this.role = role;
    this.page = page;
    this.id = id;
  }

  /** Everything measured so far; frames of watchers only. @type {{begun: number, frames: import('./measures.js').Frame[], samples: any[], states: any[]}} */
  seen = { begun: 0, frames: [], samples: [], states: [] };

  /** Waits until the first picture is shown. */
  async sees() {
    await this.page.waitForFunction(() => globalThis.collect().frames.length > 0, undefined, { polling: 50 });
  }

  /** Waits until a publisher's largest encoding flows, but not for ever: what comes of it is for the verdicts to say. */
  async sends() {
    const counted = async () => Number(await this.page.evaluate(() => globalThis.collect().samples.at(-1)?.encodings.find(({ rid }) => rid === 'h')?.framesEncoded ?? 0));
    const end = now() + PATIENCE;
    for (let before = await counted(); now() < end;) {
      await pass(1_000);
      const after = await counted();
      if (after - before >= FLOWING) return;
      before = after;
    }
  }

  /** @param {number} height the first picture is shown in from now on */
  resize(height) {
    return this.page.evaluate(resize, height);
  }

  /** Takes what was measured into `seen`. */
  async collect() {
    this.seen = await this.page.evaluate(() => globalThis.collect());
    return this.seen;
  }
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {net.AddressInfo} */ (server.address());
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * The first line that matches.
 * @param {import('node:child_process').ChildProcess} child
 * @param {import('node:stream').Readable} stream
 * @param {RegExp} pattern
 * @returns {Promise<RegExpExecArray>}
 */
function line(child, stream, pattern) {
  return new Promise((resolve, reject) => {
    createInterface({ input: stream }).on('line', (text) => {
      const match = pattern.exec(text);
      if (match) resolve(match);
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${child.spawnfile} ended with ${code} before it was ready`)));
  });
}

/** @param {import('node:stream').Readable} stream */
function collectEnd(stream) {
  let said = '';
  stream.on('data', (text) => (said = `${said}${text}`.slice(-8_000)));
  return () => said;
}
