// npm run notebooks [-- --out FOLDER --jobs N --save WORD…]: runs notebooks from top to bottom and makes pages of them;
// those that are named by their path, or whose names hold one of the words, or all.
import './setup/node-version.mjs';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, stripVTControlCharacters } from 'node:util';

const { ROOT } = await import('./setup/places.mjs');
const { run, tail } = await import('./setup/run.mjs');
const { ensurePageScripts } = await import('./page-scripts.mjs');
const { ensureVenv, jupyter, PAGE_OPTIONS } = await import('./venv.mjs');

const NOTEBOOKS = join(ROOT, 'notebooks');
const PAGES = join(ROOT, 'build', 'notebooks');
const CELL_SECONDS = 240;
const NOTEBOOK_MS = 480_000;

/**
 * Runs one notebook in its own folder. Gives `{ ok, page, seconds, reason }`, with `reason` where a cell failed or
 * output was lost. `save` keeps the outputs in the notebook as well.
 */
export async function runNotebook(file, { out = PAGES, save = false } = {}) {
  const work = mkdtempSync(join(tmpdir(), 'nibblelens-notebook-'));
  const started = performance.now();
  const name = basename(file, '.ipynb');
  try {
    const executed = await nbconvert(file, ['--to', 'notebook', '--execute', ...EXECUTION, '--output-dir', work]);
    const problem = executed.reason ?? problemOf(join(work, `${name}.ipynb`));
    const page = join(out, `${name}.html`);
    if (problem) return { ok: false, page, seconds: secondsSince(started), reason: problem };
    mkdirSync(out, { recursive: true });
    const { reason } = await nbconvert(join(work, `${name}.ipynb`), [
      '--to',
      'html',
      ...PAGE_OPTIONS,
      '--output-dir',
      out,
    ]);
    if (save && !reason) writeFileSync(file, withShortArrays(readFileSync(join(work, `${name}.ipynb`), 'utf8')));
    return { ok: !reason, page, seconds: secondsSince(started), reason };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * JSON with each array of numbers on one line: nbformat gives every number a line of its own, which makes figures several
 * times as large. No string is touched, as strings hold no line breaks in JSON.
 */
const withShortArrays = (json) => json.replace(/\[\n[\s\d.,eE+\-nul]*\]/g, (array) => array.replace(/\s+/g, ''));

const EXECUTION = [
  '--ExecutePreprocessor.kernel_name=nibblelens',
  `--ExecutePreprocessor.timeout=${CELL_SECONDS}`,
  '--ExecutePreprocessor.raise_on_iopub_timeout=True',
  '--ExecutePreprocessor.record_timing=False',
];

const secondsSince = (started) => (performance.now() - started) / 1000;

/** `{ reason }` where nbconvert failed or lost output. Its kernel ends with it, as the kernel watches its parent. */
async function nbconvert(file, options) {
  const { command, args, env } = jupyter(['nbconvert', ...options, file]);
  const { ok, output } = await run(command, args, { cwd: dirname(file), env, timeoutMs: NOTEBOOK_MS });
  if (!ok) return { reason: failureIn(output) };
  return /Timeout waiting for IOPub output/.test(output) ? { reason: 'some output was lost (no answer on IOPub)' } : {};
}

/** The cell's error, out of nbconvert's own traceback. */
function failureIn(output) {
  const at = output.lastIndexOf('CellExecutionError: ');
  return at < 0 ? tail(output, 15) : output.slice(at + 'CellExecutionError: '.length);
}

/** How the kernel tells of an error that belongs to no cell's run, such as one in a timer. */
const STRAY = /^(Uncaught|Unhandled rejection:) .*/m;

/** What is wrong with an executed notebook, or undefined. */
function problemOf(file) {
  const { cells } = JSON.parse(readFileSync(file, 'utf8'));
  const code = cells.filter(({ cell_type: type, source }) => type === 'code' && source.join('').trim() !== '');
  for (const [i, { execution_count: count, outputs }] of code.entries()) {
    const where = `code cell ${i + 1} of ${code.length}`;
    if (count === null) return `${where} was not run`;
    const told = outputs
      .filter(({ name }) => name === 'stderr')
      .map(({ text }) => stripVTControlCharacters(text.join('')));
    const [stray] = STRAY.exec(told.join('')) ?? [];
    if (stray !== undefined) return `${where}: ${stray}`;
  }
  return undefined;
}

/** Why notebooks cannot be run here, or null. */
async function obstacle() {
  if (!process.env.JUPYTER) {
    const { ok, reason } = await ensureVenv({ log: console.log });
    if (!ok) return `notebooks cannot be run: ${reason}`;
  }
  return ensurePageScripts();
}

/** Runs the first of the package's notebooks, for `npm start`: as `runNotebook`, or `{ ok: false, reason }`. */
export async function firstNotebookPage() {
  const reason = await obstacle();
  const [first] = notebooksIn(NOTEBOOKS);
  if (reason !== null || first === undefined) return { ok: false, reason: reason ?? `no notebooks in ${NOTEBOOKS}` };
  return runNotebook(first);
}

const notebooksIn = (folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.ipynb'))
    .sort()
    .map((name) => join(folder, name));

/** Notebooks named by path, those whose names hold one of the words, or all where there are no words. */
function chosen(words) {
  const files = words.filter((word) => word.endsWith('.ipynb') && existsSync(word)).map((file) => resolve(file));
  const others = words.filter((word) => !files.includes(resolve(word)));
  const named = notebooksIn(NOTEBOOKS).filter(
    (file) => words.length === 0 || others.some((word) => basename(file).includes(word)),
  );
  return [...new Set([...files, ...named])];
}

function refuse(message) {
  process.stderr.write(`${message}\n`);
  return 2;
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      out: { type: 'string', default: PAGES },
      jobs: { type: 'string', default: '2' },
      save: { type: 'boolean', default: false },
    },
  });
  const jobs = Number(values.jobs);
  if (!Number.isInteger(jobs) || jobs < 1)
    return refuse(`--jobs: found ${values.jobs}, expected a whole number from 1`);
  if (chosen(positionals).length === 0)
    return refuse(`notebooks: found none for ${positionals.join(' ')} in ${NOTEBOOKS}`);
  const { setUp } = await import('./setup.mjs');
  if (!(await setUp())) return 1;
  const reason = await obstacle();
  if (reason !== null) {
    process.stderr.write(`${reason}\n`);
    return 1;
  }
  const waiting = chosen(positionals);
  const count = waiting.length;
  let failed = 0;
  const work = async () => {
    for (let file; (file = waiting.shift());) {
      const result = await runNotebook(file, { out: resolve(values.out), save: values.save });
      if (!result.ok) failed++;
      report(file, result);
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  console.log(`${count - failed} passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
}

function report(file, { ok, page, seconds, reason }) {
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${basename(file)}  ${seconds.toFixed(1)} s${ok ? `  ${page}` : ''}`);
  if (!ok) console.log((process.stdout.isTTY ? reason : stripVTControlCharacters(reason)).replace(/^/gm, '    '));
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!String(error.code).startsWith('ERR_PARSE_ARGS')) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  }
}
