// npm run check-package: packs the package, installs it in an empty folder far from the clone, by this Node and by the
// newest one that npm offers, and uses it there as a stranger would.
import './setup/node-version.mjs';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensurePageScripts } from './page-scripts.mjs';
import { setUp } from './setup.mjs';
import { ROOT } from './setup/places.mjs';
import { run, tail } from './setup/run.mjs';

const REQUIRED = [
  'dist/index.js', 'dist/index.d.ts', 'dist/cli/main.js', 'data/storyteller/model.safetensors',
  'data/storyteller-int4/model.safetensors', 'src/native/cpp/addon.cpp', 'scripts/setup.mjs', 'scripts/lab.mjs',
  'jupyter/kernels/nibblelens/kernel.json', 'jupyter/labextensions/nibblelens-figures/static/plotly.min.js',
  'jupyter/labextensions/nibblelens-figures/static/temml.min.js', 'README.md', 'LICENSE',
];
const FORBIDDEN = /^(tests|build|\.venv|node_modules|bench|\.ci)\/|^src\/(?!native\/cpp\/)|\.(node|map|tsbuildinfo)$|\.built-from$|golden/;
const MOST_BYTES = 40e6;

/** A program, and the first cell of a new notebook. */
const PROGRAM = `
import { bundled, loadModel } from 'nibblelens';
const model = await loadModel(bundled.storytellerInt4);
const { text } = await model.generate('Once upon a time', { maxTokens: 6, temperature: 0 });
const { activations } = await model.run('Once upon a time', { capture: 'all' });
console.log([text, activations.names.length].join('; '));
`;
const PRINTS = /^, and the sun was shining; \d{3}\n?$/;

const RUN_CELL = fileURLToPath(new URL('run-cell.mjs', import.meta.url));
/** Node has it without asking from version 22 on. */
const WEB_SOCKET = globalThis.WebSocket === undefined ? ['--experimental-websocket'] : [];
/** Until JupyterLab is up, its installation included. */
const LAB_SECONDS = 420;

let passed = 0;
let failed = 0;
function check(name, problem) {
  if (problem === null) passed++;
  else failed++;
  console.log(problem === null ? `✓ ${name}` : `✗ ${name}: ${problem}`);
}

async function must(command, args, options) {
  const result = await run(command, args, options);
  if (!result.ok) throw new Error(`${command} ${args.join(' ')} failed:\n${tail(result.output, 20)}`);
  return result.output;
}

/** Packs, and checks what is in the archive. */
async function pack(folder) {
  const output = await must('npm', ['pack', '--json', '--loglevel=error', '--pack-destination', folder], { cwd: ROOT });
  const parsed = JSON.parse(output.slice(output.search(/^[[{]/m)));
  const [{ filename, files, unpackedSize }] = Array.isArray(parsed) ? parsed : Object.values(parsed);
  const paths = files.map(({ path }) => path);
  check('nothing is missing', REQUIRED.every((path) => paths.includes(path)) ? null : REQUIRED.filter((path) => !paths.includes(path)).join(', '));
  check('nothing is too much', paths.some((path) => FORBIDDEN.test(path)) ? paths.filter((path) => FORBIDDEN.test(path)).join(', ') : null);
  check(`${paths.length} files, ${(unpackedSize / 1e6).toFixed(1)} MB`, unpackedSize < MOST_BYTES ? null : `more than ${MOST_BYTES / 1e6} MB`);
  return join(folder, filename);
}

/** The folders to put before PATH: none for this Node, and that of the newest one. */
async function nodes(folder) {
  const prefix = join(folder, 'newest-node');
  mkdirSync(prefix);
  const install = await run('npm', ['install', '--prefix', prefix, '--no-save', 'node@latest', '--ignore-scripts=false', '--loglevel=error']);
  const bin = join(prefix, 'node_modules', 'node', 'bin');
  if (!install.ok || !existsSync(bin)) check('get the newest Node', tail(install.output, 3) || 'npm install node@latest gave no binary');
  return existsSync(bin) ? [dirname(process.execPath), bin] : [dirname(process.execPath)];
}

/** Starts `nibblelens lab .`, runs a cell of a new notebook there, and ends it. Null, or what went wrong. */
async function useLab(folder, env) {
  const options = ['--no-browser', '--port', '18888', ...(process.getuid?.() === 0 ? ['--allow-root'] : [])];
  const child = spawn('npx', ['nibblelens', 'lab', '.', ...options], {
    cwd: folder,
    env: { ...process.env, ...env },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  const ended = new Promise((resolve) => child.on('close', resolve));
  try {
    for (let second = 0; second < LAB_SECONDS && child.exitCode === null; second++) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const url = /http:\/\/(?:127\.0\.0\.1|localhost):\d+\/lab\S*/.exec(output)?.[0];
      if (!url) continue;
      const { ok, output: printed } = await run(process.execPath, [...WEB_SOCKET, RUN_CELL, url, 'new.ipynb', PROGRAM], { timeoutMs: 120_000 });
      return ok && PRINTS.test(printed) ? null : `its first cell gave:\n${tail(printed)}\n${tail(output)}`;
    }
    return `no server:\n${tail(output)}`;
  } finally {
    if (child.exitCode === null) process.kill(-child.pid, 'SIGTERM');
    await ended;
  }
}

async function useAt(folder, archive, bin) {
  const env = { PATH: [bin, process.env.PATH].join(delimiter) };
  const version = await must(join(bin, 'node'), ['--version']);
  const at = (name) => `${version}: ${name}`;
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  const use = async (name, command, args, prints = /^/) => {
    const { ok, output } = await run(command, args, { cwd: folder, env });
    check(at(name), ok && prints.test(output) ? null : tail(output));
    return ok;
  };
  if (!(await use('npm install', 'npm', ['install', '--no-audit', '--no-fund', archive]))) return;
  writeFileSync(join(folder, 'program.mjs'), PROGRAM);
  const generate = ['nibblelens', 'generate', '--prompt', 'Once upon a time', '--max-tokens', '6', '--temperature', '0'];
  await use('import, before the set-up', 'node', ['program.mjs'], /, and the sun was shining; \d{3}$/);
  await use('npx nibblelens generate, before the set-up', 'npx', generate, /, and the sun was shining$/);
  await use('npx nibblelens setup', 'npx', ['nibblelens', 'setup']);
  await use('import', 'node', ['program.mjs'], PRINTS);
  await use('npx nibblelens generate', 'npx', generate, /^, and the sun was shining$/);
  await use('npx nibblelens inspect', 'npx', ['nibblelens', 'inspect', 'node_modules/nibblelens/data/storyteller-int4'], /bits per weight/);
  check(at('npx nibblelens lab . with a new notebook'), await useLab(folder, env));
}

const folder = mkdtempSync(join(tmpdir(), 'nibblelens-package-'));
try {
  if (!(await setUp())) throw new Error('the set-up failed');
  const problem = await ensurePageScripts();
  if (problem !== null) throw new Error(problem);
  const archive = await pack(folder);
  for (const [i, bin] of (await nodes(folder)).entries()) await useAt(join(folder, `user-${i}`), archive, bin);
} catch (error) {
  check('check-package', error.message);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
