import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ROOT } from './pages.js';

const work = mkdtempSync(join(tmpdir(), 'nibblelens-docs-'));
after(() => rmSync(work, { recursive: true, force: true }));

/** `npm run docs` in a clone. */
function docs(root: string, ...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [join(root, 'scripts', 'docs.mjs'), ...args], { encoding: 'utf8' });
}

describe('npm run docs', () => {
  test('would change nothing: API reference and help are current', () => {
    const { status, stdout, stderr } = docs(ROOT, '--check');
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' }, stdout);
  });

  test('writes what is missing, changes what is old, and takes away what is no more', () => {
    const clone = join(work, 'clone');
    mkdirSync(clone);
    for (const name of ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts', 'src', 'dist', 'docs']) {
      cpSync(join(ROOT, name), join(clone, name), { recursive: true });
    }
    symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'), 'dir');
    const file = (name: string): string => join(clone, 'docs', name);
    rmSync(file('api/ops.md'));
    writeFileSync(file('api/gone.md'), 'of a room that is no more');
    writeFileSync(file('command-line.md'), readFileSync(file('command-line.md'), 'utf8').replace(/^ {2}--prompt .*\n/m, ''));

    const check = docs(clone, '--check');
    assert.equal(check.status, 1);
    const written = docs(clone);
    assert.equal(written.status, 0, written.stderr);
    for (const name of ['api/ops.md', 'api/gone.md', 'command-line.md']) {
      assert.match(check.stdout, new RegExp(`^not current \\(npm run docs\\): docs/${name}$`, 'm'));
      assert.match(written.stdout, new RegExp(`^written: docs/${name}$`, 'm'));
    }
    for (const name of ['api/ops.md', 'command-line.md']) {
      assert.equal(readFileSync(file(name), 'utf8'), readFileSync(join(ROOT, 'docs', name), 'utf8'));
    }
  });
});
