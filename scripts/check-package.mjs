// npm run check-package: packs the package, installs it in an empty folder far from the clone, by this Node and by the
// newest one that npm offers, and uses it there as a stranger would.
import './setup/node-version.mjs';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setUp } from './setup.mjs';
import { ROOT } from './setup/places.mjs';
import { run, tail } from './setup/run.mjs';

const REQUIRED = [
  'dist/index.js', 'dist/index.d.ts', 'dist/cli/main.js', 'data/storyteller-int4/config.json', 'scripts/setup.mjs',
  'scripts/lab.mjs', 'README.md', 'LICENSE',
];
const FORBIDDEN = /^(tests|build|\.venv|node_modules|bench|\.ci)\/|\.node$|\.built-from$/;
const MOST_BYTES = 40e6;

const PROGRAM = `
import { loadModel, environment } from 'nibblelens';
import { fileURLToPath } from 'node:url';
const model = await loadModel(fileURLToPath(new URL('data/storyteller-int4', import.meta.resolve('nibblelens/package.json'))));
const { text, ids } = await model.generate('Once upon a time', { maxTokens: 8, seed: 1 });
if (ids.length === 0 || text.length === 0) throw new Error('no text');
console.log(text);
`;

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

/** Starts `nibblelens lab .` and waits until its server answers; ends it then. */
async function labAnswers(folder, env) {
  const child = spawn('npx', ['nibblelens', 'lab', '.', '--no-browser', '--port', '18888'], { cwd: folder, env: { ...process.env, ...env }, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  const ended = new Promise((resolve) => child.on('close', resolve));
  try {
    for (let second = 0; second < 60 && child.exitCode === null; second++) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const url = /http:\/\/(?:127\.0\.0\.1|localhost):\d+\/lab\S*/.exec(output)?.[0];
      if (!url) continue;
      const api = new URL(url);
      api.pathname = '/api/kernelspecs';
      const specs = await fetch(api).then((response) => response.json(), () => null);
      if (specs) return 'nibblelens' in specs.kernelspecs ? null : `kernels: ${Object.keys(specs.kernelspecs)}`;
    }
    return `its server did not answer:\n${tail(output)}`;
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
  const use = async (name, command, args) => {
    const { ok, output } = await run(command, args, { cwd: folder, env });
    check(at(name), ok ? null : tail(output));
    return ok;
  };
  if (!(await use('npm install', 'npm', ['install', '--no-audit', '--no-fund', archive]))) return;
  writeFileSync(join(folder, 'program.mjs'), PROGRAM);
  await use('import, before the set-up', 'node', ['program.mjs']);
  await use('npx nibblelens setup', 'npx', ['nibblelens', 'setup']);
  await use('import', 'node', ['program.mjs']);
  await use('npx nibblelens generate', 'npx', ['nibblelens', 'generate', '--prompt', 'Once upon a time', '--max-tokens', '20']);
  check(at('npx nibblelens lab .'), await labAnswers(folder, env));
}

const folder = mkdtempSync(join(tmpdir(), 'nibblelens-package-'));
try {
  if (!(await setUp())) throw new Error('the set-up failed');
  const archive = await pack(folder);
  for (const [i, bin] of (await nodes(folder)).entries()) await useAt(join(folder, `user-${i}`), archive, bin);
} catch (error) {
  check('check-package', error.message);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
