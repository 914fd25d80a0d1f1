import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'node:test';
import { fuzzCase, TARGETS, targetOf } from '../fuzz/cases.js';

const SCRIPT = fileURLToPath(new URL('../../scripts/fuzz.mjs', import.meta.url));

function fuzz(...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [SCRIPT, ...args]);
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve) => child.on('close', (status) => resolve({ status, stdout, stderr })));
}

describe('npm run fuzz', () => {
  test('any hundred cases in a row hold every target by its share', () => {
    for (const first of [0, 17, 4200]) {
      const counts = new Map<string, number>();
      for (let i = first; i < first + 100; i++) counts.set(targetOf(i), (counts.get(targetOf(i)) ?? 0) + 1);
      assert.deepEqual(Object.fromEntries(counts), { ...TARGETS });
    }
  });

  test('a case is drawn from the seed and its number alone', () => {
    for (let i = 0; i < 100; i++) assert.deepEqual(fuzzCase(1, i).files, fuzzCase(1, i).files);
    const differing = Array.from({ length: 100 }, (_, i) => fuzzCase(1, i).files).filter((files, i) => {
      return JSON.stringify(files) !== JSON.stringify(fuzzCase(2, i).files);
    });
    assert.ok(differing.length > 95);
  });

  test('counts what it ran, and ends in the line that CI reads', async () => {
    const { status, stdout, stderr } = await fuzz('--count', '10');
    assert.equal(status, 0, stderr);
    assert.match(stdout, /\n10 cases of seed 1 in \d+ s\npeak memory: \d+ MB .*\n\d+ passed, 0 failed\n$/);
  });

  test('wrong options get one line and status 2', async () => {
    for (const args of [['--cuont', '3'], ['--count', '0'], ['--seconds', 'ten'], ['--seed', '-1'], ['--seed'], ['case']]) {
      const { status, stdout, stderr } = await fuzz(...args);
      assert.equal(status, 2, args.join(' '));
      assert.equal(stdout, '');
      assert.match(stderr, /^[^\n]+\n$/);
    }
    const { status, stdout } = await fuzz('--help');
    assert.equal(status, 0);
    for (const option of ['--count', '--seconds', '--seed', '--case']) assert.ok(stdout.includes(option));
  });
});
