// npm test [-- FILE…]: the set-up, the type check, then all tests (or those whose path holds one of the words given).
import './setup/node-version.mjs';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A test, or a file of them, that takes longer than this hangs. */
const TIMEOUT_MS = 300_000;
/** Test files that run at once; each may start threads and processes of its own. */
const CONCURRENCY = 2;

const { setUp } = await import('./setup.mjs');
const { ROOT } = await import('./setup/places.mjs');

const node = (args) =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
    child.on('close', (code) => resolve(code === 0));
  });

function testFiles(words) {
  const files = readdirSync(join(ROOT, 'tests'), { recursive: true })
    .map((name) => join('tests', name))
    .filter((name) => name.endsWith('.test.ts'))
    .sort();
  return words.length === 0 ? files : files.filter((name) => words.some((word) => name.includes(word)));
}

/** The counts that end a TAP file. */
function counts(file) {
  const text = readFileSync(file, 'utf8');
  const count = (name) => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  return { passed: count('pass'), failed: count('fail') + count('cancelled'), skipped: count('skipped') };
}

async function main() {
  const started = performance.now();
  if (!(await setUp())) return false;

  console.log('type check');
  const typed = await node(['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json']);
  const files = testFiles(process.argv.slice(2));
  if (files.length === 0) {
    console.error(`no test file's path holds ${process.argv.slice(2).join(' or ')}`);
    return false;
  }
  const folder = mkdtempSync(join(tmpdir(), 'nibblelens-tests-'));
  const tap = join(folder, 'tests.tap');
  const clean = await node([
    '--import', 'tsx', '--test', `--test-concurrency=${CONCURRENCY}`, `--test-timeout=${TIMEOUT_MS}`,
    '--test-reporter=spec', '--test-reporter-destination=stdout',
    '--test-reporter=tap', `--test-reporter-destination=${tap}`,
    ...files,
  ]);
  const { passed, failed, skipped } = counts(tap);
  rmSync(folder, { recursive: true });

  const failures = failed + (typed ? 0 : 1) + (clean || failed > 0 ? 0 : 1);
  const seconds = Math.round((performance.now() - started) / 1000);
  if (!typed) console.log('the type check failed');
  console.log(`${files.length} files in ${seconds} s`);
  console.log(`${passed + (typed ? 1 : 0)} passed, ${failures} failed, ${skipped} skipped`);
  return failures === 0;
}

process.exitCode = (await main()) ? 0 : 1;
