import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { bundled } from '../../../src/bundled.js';
import type { BenchReport } from '../../../src/cli/bench/report.js';
import { withoutAddon } from '../../native/support.js';
import { nibblelens } from '../nibblelens.js';

const folder = mkdtempSync(join(tmpdir(), 'nibblelens-bench-'));
after(() => rmSync(folder, { recursive: true, force: true }));

describe('nibblelens bench', { skip: withoutAddon }, () => {
  test('measures the bundled model: a table, and the same as JSON with the run record', async () => {
    const file = join(folder, 'report.json');
    const { status, stdout, stderr } = await nibblelens(['bench', '--quick', '--threads', '2', '--json', file]);
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
    assert.match(stdout, /^machine +.+, 2 threads used$/m);
    assert.match(stdout, /^decode +exact +[\d.]+ +tok\/s +[\d.]+ to [\d.]+$/m);
    const { machine, record, quick, measurements } = JSON.parse(readFileSync(file, 'utf8')) as BenchReport;
    assert.deepEqual([machine.threads, record?.model, record?.path, quick], [2, 'storyteller-int4', 'fused', true]);
    const has = (work: string, engine: string) => measurements.find((one) => one.work === work && one.engine === engine);
    for (const mode of ['fast', 'exact']) {
      for (const work of ['decode', 'prefill 512', 'decode, share of bandwidth', 'all threads over 1']) assert.ok(has(work, mode), `${work}, ${mode}`);
      assert.ok(has('decode', `${mode}, 1 thread`));
    }
    for (const one of measurements) {
      assert.ok(one.low <= one.median && one.median <= one.high && one.low >= 0 && Number.isFinite(one.high), one.work);
    }
    // the share of the bandwidth is that of the bytes of all weights but the embedding's, and of the cache
    const [share, rate, bandwidth] = [has('decode, share of bandwidth', 'exact'), has('decode', 'exact'), has('read bandwidth', 'memory')];
    const bytes = ((share?.median ?? 0) / 100) * ((bandwidth?.median ?? 0) / (rate?.median ?? 1)) * 1e9;
    assert.ok(bytes > 2e6 && bytes < 9e6, `${bytes} bytes per token, about 5 million expected`);
    // its context ends before 2048
    assert.ok(has('time per token at context 512', 'fast'));
    assert.equal(has('time per token at context 2048', 'fast'), undefined);
  });

  test('stops at Ctrl-C', { skip: process.platform === 'win32' ? 'no signals' : false }, async () => {
    const shell = '"$@" & child=$!; sleep 3; kill -INT $child; wait $child';
    const { status, stdout } = await nibblelens(['bench', '--model', bundled.storyteller], { shell });
    assert.deepEqual({ status, stdout }, { status: 130, stdout: '' });
  });

  test('tells of a model that is not there, and of wrong options', async () => {
    for (const [args, message] of [
      [['--model', join(folder, 'nothing')], /nothing/],
      [['--threads', '0'], /--threads: found "0", expected a whole number from 1 to 256/],
    ] as const) {
      const { status, stderr } = await nibblelens(['bench', ...args]);
      assert.equal(status, 2);
      assert.match(stderr, message);
    }
  });
});
