// npm run fuzz [-- OPTIONS]: mutated checkpoint and tokenizer files, each of which must open or be refused with a typed
// error. The cases are those of tests/fuzz; each is drawn from the seed and its number alone.
import './setup/node-version.mjs';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';

const HELP = `Usage: npm run fuzz -- [options]

Opens mutated checkpoint and tokenizer files in processes of their own, most with the native addon and every
fifth without it. Each must open and work, or be refused with a typed error, in bounded time and memory.

  --count <n>    cases to run (default 10000; with --seconds, as many as there is time for)
  --seconds <n>  stop after this time
  --seed <n>     another seed, another ten thousand files (default 1)
  --case <n>     this case alone, and keep its files
  --help

A run of 10000 cases or more with no failure writes docs/fuzz-record.json.`;

const COUNT = 10_000;
const MOST_BYTES = 512e6;
const MOST_FAILURES = 25;
/** Every so many cases one runs without the addon. */
const PLAIN_SHARE = 5;
const REPORT_MS = 15_000;
const MOST_SHOWN = 2000;

class UsageError extends Error {}

function parseOptions() {
  const { values } = parseArgs({
    options: {
      count: { type: 'string' },
      seconds: { type: 'string' },
      seed: { type: 'string', default: '1' },
      case: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const whole = (name, least) => {
    const text = values[name];
    if (text === undefined) return undefined;
    if (/^\d{1,9}$/.test(text) && Number(text) >= least) return Number(text);
    throw new UsageError(`--${name}: found ${text}, expected a whole number from ${least}`);
  };
  const only = whole('case', 0);
  const seconds = whole('seconds', 1);
  const count = only === undefined ? (whole('count', 1) ?? (seconds === undefined ? COUNT : Infinity)) : 1;
  return { help: values.help, first: only ?? 0, only, count, seconds, seed: whole('seed', 0) };
}

/** What came of the cases of one target with the addon, or without. */
class Tally {
  cases = 0;
  opened = 0;
  refused = {};
  failures = 0;

  add({ kind, error }) {
    this.cases++;
    if (kind === 'opened') this.opened++;
    else if (kind === 'refused') this.refused[error] = (this.refused[error] ?? 0) + 1;
    else this.failures++;
  }
}

class Run {
  tallies = new Map();
  failures = [];
  cases = 0;
  started = performance.now();

  constructor(options, hasAddon, targetOf) {
    this.options = options;
    this.hasAddon = hasAddon;
    this.targetOf = targetOf;
    this.next = { true: options.first, false: options.first };
    this.root = mkdtempSync(join(tmpdir(), 'nibblelens-fuzz-'));
  }

  get seconds() {
    return (performance.now() - this.started) / 1000;
  }

  /** The next case for processes with the addon, or for those without; null where there is none. */
  take(native) {
    const { first, count, seconds, only } = this.options;
    if (this.failures.length >= MOST_FAILURES || (seconds !== undefined && this.seconds >= seconds)) return null;
    for (let index = this.next[native]; index < first + count; index++) {
      if (only === undefined && this.hasAddon && (index % PLAIN_SHARE !== 0) !== native) continue;
      this.next[native] = index + 1;
      return index;
    }
    return null;
  }

  add(index, native, answer) {
    this.cases++;
    const target = this.targetOf(index);
    const key = `${target}, ${native ? 'with the addon' : 'without'}`;
    if (!this.tallies.has(key)) this.tallies.set(key, new Tally());
    this.tallies.get(key).add(answer);
    if (answer.kind !== 'fault') return;
    this.failures.push(index);
    const how = native ? '' : 'NIBBLELENS_NATIVE=off ';
    console.log(`\nFAILED case ${index} of seed ${this.options.seed}, ${key}`);
    console.log(`  ${answer.message.slice(0, MOST_SHOWN).replaceAll('\n', '\n  ')}`);
    console.log(`  again: ${how}npm run fuzz -- --seed ${this.options.seed} --case ${index}`);
    console.log(`  its files: ${join(this.root, String(index))}`);
  }
}

async function work(run, worker) {
  try {
    for (let index; (index = run.take(worker.native)) !== null;) run.add(index, worker.native, await worker.run(index));
  } finally {
    worker.stop();
  }
}

function printTable(tallies) {
  const errors = [...new Set([...tallies.values()].flatMap(({ refused }) => Object.keys(refused)))].sort();
  const cellsOf = ([key, { cases, opened, refused, failures }]) => {
    return [key, cases, opened, ...errors.map((name) => refused[name] ?? 0), failures].map(String);
  };
  const rows = [['target', 'cases', 'opened', ...errors, 'failures'], ...[...tallies].sort().map(cellsOf)];
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  const padded = (cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]));
  console.log();
  for (const row of rows) console.log(row.map(padded).join('  '));
}

function writeRecord(run, peaks, root) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const record = {
    date: new Date().toISOString().slice(0, 10),
    seed: run.options.seed,
    cases: run.cases,
    seconds: Math.round(run.seconds),
    peakMegabytes: peaks,
    versions: { nibblelens: version, node: process.versions.node },
    platform: `${process.platform} ${process.arch}`,
    outcomes: Object.fromEntries([...run.tallies].sort()),
  };
  const file = join(root, 'docs', 'fuzz-record.json');
  writeFileSync(file, `${JSON.stringify(record, null, 2)}\n`);
  console.log(`written: ${relative(process.cwd(), file)}`);
}

async function main() {
  const options = parseOptions();
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const { packageFolder, ROOT } = await import('./setup/places.mjs');
  if (packageFolder('tsx') === null && !(await (await import('./setup.mjs')).setUp())) return 1;
  const { register } = await import('tsx/esm/api');
  const unregister = register();
  const { targetOf } = await import('../tests/fuzz/cases.ts');
  const { native: addon, nativeAbsence } = await import('../src/native/native.ts');
  await unregister();
  const { Worker } = await import('./fuzz/worker.mjs');

  const hasAddon = addon() !== null;
  if (!hasAddon) console.log(`all cases run without the native addon: ${nativeAbsence()}`);
  const run = new Run(options, hasAddon, targetOf);
  const { root } = run;
  const ways = !hasAddon ? [false] : options.only === undefined ? [true, false] : [true];
  const settings = { root, seed: options.seed, keep: options.only !== undefined, mostBytes: MOST_BYTES };
  const workers = ways.map((native) => new Worker({ ...settings, native }));
  process.on('exit', () => workers.forEach((worker) => worker.stop()));
  const reports = setInterval(() => {
    console.log(`${run.cases} cases, ${run.failures.length} failures, ${Math.round(run.seconds)} s`);
  }, REPORT_MS);
  await Promise.all(workers.map((worker) => work(run, worker))).finally(() => clearInterval(reports));

  printTable(run.tallies);
  const named = ({ native, peakBytes }) => [native ? 'with the addon' : 'without', Math.round(peakBytes / 1e6)];
  const peaks = Object.fromEntries(workers.map(named));
  const inWords = Object.entries(peaks).map(([name, megabytes]) => `${megabytes} MB ${name}`);
  console.log(`\n${run.cases} cases of seed ${options.seed} in ${Math.round(run.seconds)} s`);
  console.log(`peak memory: ${inWords.join(', ')}`);
  if (run.failures.length === 0 && options.only === undefined) rmSync(root, { recursive: true });
  else console.log(`files of ${options.only === undefined ? 'failed cases' : 'the case'}: ${root}`);
  if (run.failures.length >= MOST_FAILURES) console.log(`stopped after ${MOST_FAILURES} failures`);
  if (run.failures.length === 0 && run.cases >= COUNT) writeRecord(run, peaks, ROOT);
  const failed = [...run.tallies.values()].filter(({ failures }) => failures > 0).length;
  console.log(`${run.tallies.size - failed} passed, ${failed} failed`);
  return failed === 0 && run.cases > 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError) && !String(error.code).startsWith('ERR_PARSE_ARGS')) throw error;
  process.stderr.write(`${error.message.split('\n')[0]}\n`);
  process.exitCode = 2;
}
