/**
 * `make media-report`: plays every scenario with a real Chromium over emulated lines, and says which promises it kept.
 *
 * `node main.js OUTPUT BINARIES [--strict] [SCENARIO…]`. Exit code 0, or 2 when a scenario could not be
 * played; with `--strict` 1 when a promise was missed.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { chart } from './chart.js';
import { SCENARIOS } from './scenarios.js';
import { Stage } from './stage.js';

/**
 * @typedef {import('./scenarios.js').Verdict & {kept: boolean}} Judged
 * @typedef {{name: string, title: string, seconds: number, error?: string, verdicts: Judged[]}} Played
 */

const [output, binaries, ...words] = process.argv.slice(2);
if (!binaries) throw new Error('main.js OUTPUT BINARIES [--strict] [SCENARIO…]');
const strict = words.includes('--strict');
const names = words.filter((word) => word !== '--strict');
const unknown = names.find((name) => SCENARIOS.every((scenario) => scenario.name !== name));
if (unknown) throw new Error(`${unknown} is none of ${SCENARIOS.map(({ name }) => name).join(', ')}`);
await mkdir(output, { recursive: true });

/** @type {Played[]} */
const played = [];
for (const scenario of SCENARIOS.filter(({ name }) => names.length === 0 || names.includes(name))) {
  const result = await play(scenario);
  played.push(result);
  process.stdout.write(`${textOf(result)}\n`);
}
const report = { schema: 1, processors: os.cpus().length, load: os.loadavg()[0], scenarios: played };
await writeFile(path.join(output, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
await writeFile(path.join(output, 'report.md'), markdown(played));
process.stdout.write(`${path.join(output, 'report.md')}\n`);
if (played.some(({ error }) => error)) process.exitCode = 2;
else if (strict && played.some(({ verdicts }) => verdicts.some(({ kept }) => !kept))) process.exitCode = 1;

/**
 * @param {import('./scenarios.js').Scenario} scenario
 * @returns {Promise<Played>}
 */
async function play({ name, title, play: run }) {
  const begun = performance.now();
  const stage = new Stage({ simmer: path.join(binaries, 'simmer'), bench: path.join(binaries, 'simmer-bench') });
  /** @type {Played} */
  const result = { name, title, seconds: 0, verdicts: [] };
  try {
    await stage.open();
    result.verdicts = (await run(stage)).map((verdict) => ({ ...verdict, kept: isKept(verdict) }));
    await writeFile(path.join(output, `${name}.svg`), chart(title, stage));
    const { marks, server, lines, actors } = stage;
    const samples = { marks, server, lines: lines.map(({ reports }) => reports), actors: actors.map(({ role, seen }) => ({ role, ...seen })) };
    await writeFile(path.join(output, `${name}.json`), JSON.stringify(samples));
  } catch (error) {
    result.error = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${name}: ${error instanceof Error ? error.stack : error}\n${stage.log}\n`);
  } finally {
    await stage.close();
  }
  result.seconds = Math.round((performance.now() - begun) / 1000);
  return result;
}

/** @param {import('./scenarios.js').Verdict} verdict */
function isKept({ value, limit, sense }) {
  if (value === null) return false;
  return sense === 'at most' ? value <= limit : value >= limit;
}

/** @param {Played} played */
function textOf({ name, seconds, error, verdicts }) {
  const lines = verdicts.map((verdict) => `  ${verdict.kept ? 'kept  ' : 'MISSED'}  ${verdict.promise}: ${figure(verdict)} (${bound(verdict)})`);
  return [`${name} (${seconds} s)${error ? ` could not be played: ${error}` : ''}`, ...lines].join('\n');
}

/** @param {Played[]} all */
function markdown(all) {
  const rows = all.flatMap(({ name, title, error, verdicts }) => {
    const of = `[${title}](${name}.svg)`;
    if (error) return [`| ${of} | could not be played: ${error.split('\n')[0]} | | | |`];
    return verdicts.map((verdict) => `| ${of} | ${verdict.promise} | ${bound(verdict)} | ${figure(verdict)} | ${verdict.kept ? 'kept' : '**missed**'} |`);
  });
  return [
    '# Media over bad lines', '',
    `Chromium and server on one machine with ${os.cpus().length} processors; times are by the clock on the wall.`, '',
    '| line | promise | limit | figure | |', '| --- | --- | --- | --- | --- |', ...rows, '',
    ...all.filter(({ error }) => !error).map(({ name, title }) => `![${title}](${name}.svg)\n`),
  ].join('\n');
}

/** @param {import('./scenarios.js').Verdict} verdict */
function figure({ value, unit }) {
  if (value === null) return 'never';
  return `${Math.round(value * 100) / 100} ${unit}`.trim();
}

/** @param {import('./scenarios.js').Verdict} verdict */
function bound({ limit, unit, sense }) {
  return `${sense} ${limit} ${unit}`.trim();
}
