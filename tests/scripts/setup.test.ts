import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'nibblelens-setup-'));
after(() => rmSync(work, { recursive: true, force: true }));

/** Runs lines of JavaScript as a module, in an environment of its own. */
function evaluate(lines: string, env: Record<string, string> = {}): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['--input-type=module', '-e', lines], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: 60_000,
  });
}

const module = (root: string, path: string): string => JSON.stringify(pathToFileURL(join(root, 'scripts', path)).href);

/** A folder like an installed package: the scripts, and a tfjs-node without library or binding. */
function installedPackage(name: string): string {
  const root = join(work, name);
  const tfjs = join(root, 'node_modules', '@tensorflow', 'tfjs-node');
  mkdirSync(tfjs, { recursive: true });
  cpSync(join(ROOT, 'scripts'), join(root, 'scripts'), { recursive: true });
  writeFileSync(join(root, 'package.json'), '{ "name": "nibblelens", "type": "module" }');
  writeFileSync(join(tfjs, 'package.json'), '{ "name": "@tensorflow/tfjs-node", "version": "4.22.0" }');
  return root;
}

describe('set-up', () => {
  test('turns an old Node away with one line', () => {
    const { status, stderr } = evaluate(`
      Object.defineProperty(process, 'versions', { value: { node: '20.18.3' } });
      await import(${module(ROOT, 'setup/node-version.mjs')});
    `);
    assert.equal(status, 2);
    assert.match(stderr, /^NibbleLens needs Node 20\.19 or later; this is Node 20\.18\.3\. [^\n]+\n$/);
  });

  test('names the words that NIBBLELENS_SETUP knows', () => {
    const env = { ...process.env, NIBBLELENS_SETUP: 'no-tensorflow,no-such' };
    const { status, stderr } = spawnSync(process.execPath, [join(ROOT, 'scripts', 'setup.mjs')], { encoding: 'utf8', env });
    assert.equal(status, 2);
    assert.equal(stderr, 'NIBBLELENS_SETUP: found no-such, expected any of no-tensorflow, no-notebooks, no-native\n');
  });

  test('goes on without TensorFlow where nothing can be fetched, and does not try again by itself', () => {
    const root = installedPackage('offline');
    const nothing = { PATH: work, NIBBLELENS_CACHE: join(work, 'empty-cache'), TFJS_NODE_BASE_URI: 'http://127.0.0.1:9/' };
    const lines = (again: boolean): string => `
      const { setUpTfjsNode } = await import(${module(root, 'setup/tfjs-node.mjs')});
      const said = [];
      const result = await setUpTfjsNode({ log: (line) => said.push(line), again: ${again} });
      console.log(JSON.stringify({ ...result, said }));
    `;
    const first = JSON.parse(evaluate(lines(true), nothing).stdout);
    assert.equal(first.state, 'lost');
    assert.match(first.detail, /'cpu' serves in its place.*127\.0\.0\.1:9 cannot be reached/);
    if (process.platform === 'linux') assert.match(first.detail, /no Python 3/);
    assert.match(first.cure, /npx nibblelens setup/);
    assert.ok(existsSync(join(root, 'node_modules/@tensorflow/tfjs-node/.nibblelens-failure')));
    const second = JSON.parse(evaluate(lines(false), nothing).stdout);
    assert.deepEqual(second, { ...first, said: [] });
  });

  test('goes on without TensorFlow where npm left the optional package out', () => {
    const root = installedPackage('without');
    rmSync(join(root, 'node_modules'), { recursive: true });
    const { stdout } = evaluate(`
      const { setUpTfjsNode } = await import(${module(root, 'setup/tfjs-node.mjs')});
      console.log(JSON.stringify(await setUpTfjsNode({ log: () => {} })));
    `);
    assert.equal(JSON.parse(stdout).state, 'lost');
  });

  test('unpacks of a wheel the libraries and the C headers alone, with the names that are looked for', (t) => {
    const python = spawnSync('python3', ['--version']);
    if (python.status !== 0) return t.skip('no python3');
    const downloads = join(work, 'wheel');
    mkdirSync(downloads);
    const made = spawnSync('python3', ['-c', `
import zipfile
with zipfile.ZipFile(${JSON.stringify(join(downloads, 'tensorflow.whl'))}, 'w') as wheel:
    for name in ('libtensorflow_cc.so.2', 'libtensorflow_framework.so.2', 'include/tensorflow/c/c_api.h', 'include/Eigen/Core', 'python/x.py'):
        wheel.writestr('tensorflow/' + name, name)
`]);
    assert.equal(made.status, 0, String(made.stderr));
    const out = join(work, 'unpacked');
    const unpacked = spawnSync('python3', [join(ROOT, 'scripts/setup/unpack-wheel.py'), downloads, out]);
    assert.equal(unpacked.status, 0, String(unpacked.stderr));
    assert.equal(readFileSync(join(out, 'lib/libtensorflow_cc.so.2'), 'utf8'), 'libtensorflow_cc.so.2');
    assert.equal(readlinkSync(join(out, 'lib/libtensorflow.so.2.9.1')), 'libtensorflow_cc.so.2');
    assert.equal(readlinkSync(join(out, 'lib/libtensorflow_framework.so')), 'libtensorflow_framework.so.2');
    assert.ok(existsSync(join(out, 'include/tensorflow/c/c_api.h')));
    assert.ok(!existsSync(join(out, 'include/Eigen')) && !existsSync(join(out, 'python')));
  });

  test('a command that takes too long is ended with all that it started', () => {
    const { stdout } = evaluate(`
      const { run } = await import(${module(ROOT, 'setup/run.mjs')});
      const sleeper = 'require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1e3)"], { stdio: "inherit" });'
        + 'console.log("started"); setInterval(() => {}, 1e3)';
      console.log(JSON.stringify(await run(process.execPath, ['-e', sleeper], { timeoutMs: 1500 })));
    `);
    const { ok, code, output } = JSON.parse(stdout);
    assert.deepEqual({ ok, code }, { ok: false, code: null });
    assert.match(output, /^started\s+ended after 1\.5 s$/);
  });

  test('a command that cannot be started is told, not thrown', () => {
    const { stdout } = evaluate(`
      const { run } = await import(${module(ROOT, 'setup/run.mjs')});
      console.log(JSON.stringify(await run('no-such-command', [])));
    `);
    const { ok, code, output } = JSON.parse(stdout);
    assert.deepEqual({ ok, code }, { ok: false, code: null });
    assert.match(output, /ENOENT/);
  });

  test('each step says what it did, what was lost and how to get it, and what failed', () => {
    const { stdout, stderr } = evaluate(`
      const { Progress } = await import(${module(ROOT, 'setup/progress.mjs')});
      const progress = new Progress(new Set(['left out']));
      console.log(JSON.stringify([
        await progress.step('ready', async () => ({ state: 'ready' })),
        await progress.step('made', async (log) => (log('making'), { state: 'done', detail: 'by hand' })),
        await progress.step('lost', async () => ({ state: 'lost', detail: 'no colour', cure: 'paint it' })),
        await progress.step('bad', async () => ({ state: 'failed', detail: 'it broke' })),
        await progress.step('thrown', async () => { throw new Error('it threw'); }),
        await progress.step('left out', async () => { throw new Error('never run'); }),
      ]));
      progress.close();
    `);
    assert.deepEqual(JSON.parse(stdout), [true, true, true, false, false, true]);
    assert.deepEqual(stderr.replace(/\d+\.\d s/g, 'T').trim().split('\n').map((line) => line.trim()), [
      '… made: making',
      '✓ made: by hand, T',
      '! lost: no colour; to get it: paint it',
      '✗ bad: it broke',
      '✗ thrown: it threw',
      'set-up: finished (T)',
    ]);
  });
});
