import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { run } from '../../src/lens/run.js';
import { ModelDecoder } from '../../src/model/model-decoder.js';
import { native } from '../../src/native/native.js';
import { ready } from '../../src/ops/index.js';
import { assertSameBits } from '../native/support.js';
import { TEST_BACKENDS } from '../support/backends.js';
import { worstExcess } from '../support/golden.js';
import { runInProcess } from '../support/process.js';
import { randomIds, randomShape, randomWeights, type RandomModelShape } from '../support/random-model.js';

const [, tensorflow] = TEST_BACKENDS;

const lasts = (of: RandomModelShape, count: number): Int32Array[] => [
  randomIds(of.seed, count, of.vocab),
  randomIds(of.seed + 1, count, of.vocab),
];

test(
  'a composed run has the same bits on tensorflow as on cpu, at every point',
  { skip: tensorflow.skip },
  async () => {
    await fc.assert(
      fc.asyncProperty(randomShape, fc.integer({ min: 1, max: 20 }), async (shape, pos) => {
        const decoder = new ModelDecoder(randomWeights(shape));
        const runs = [];
        for (const { name } of TEST_BACKENDS) {
          await ready(name);
          runs.push(await run(decoder, lasts(shape, pos), { path: 'composed', capture: 'all' }));
        }
        const [onCpu, onTensorFlow] = runs;
        assertSameBits(onTensorFlow.logits, onCpu.logits, 'logits');
        for (const { name, values } of onCpu.activations)
          assertSameBits(onTensorFlow.activations.get(name).values, values, name);
      }),
      { numRuns: 15 },
    );
  },
);

/** Between sums in float32 and in float64, over a few layers. */
const BOUND = 1e-4;

describe('without the addon', { skip: native() ? false : 'there is none to compare with' }, () => {
  test('a run on TypeScript kernels has the numbers of the native ones, within 1e-4 of values of order one', async () => {
    const shapes = fc.sample(randomShape, { seed: 3, numRuns: 6 });
    const code = `
      import { run } from './src/lens/run.ts';
      import { ModelDecoder } from './src/model/model-decoder.ts';
      import { randomIds, randomWeights } from './tests/support/random-model.ts';
      const results = [];
      for (const shape of ${JSON.stringify(shapes)}) {
        const ids = [shape.seed, shape.seed + 1].map((seed) => randomIds(seed, 12, shape.vocab));
        const { logits, activations, path } = await run(new ModelDecoder(randomWeights(shape)), ids, { capture: 'all' });
        const points = [...activations].map(({ name, values }) => [name, Buffer.from(values.buffer).toString('base64')]);
        results.push({ path, points: [['logits', Buffer.from(logits.buffer).toString('base64')], ...points] });
      }
      console.log(JSON.stringify(results));
    `;
    const { stdout } = await runInProcess(code, { NIBBLELENS_NATIVE: 'off', NIBBLELENS_LOG: 'error' });
    const results: { path: string; points: [string, string][] }[] = JSON.parse(stdout);
    assert.equal(results.length, shapes.length);
    for (const [i, shape] of shapes.entries()) {
      const { path, points } = results[i];
      assert.equal(path, 'composed');
      const { logits, activations } = await run(new ModelDecoder(randomWeights(shape)), lasts(shape, 12), {
        capture: 'all',
      });
      const expected = new Map<string, Float32Array>([
        ['logits', logits],
        ...[...activations].map(({ name, values }): [string, Float32Array] => [name, values]),
      ]);
      assert.deepEqual(
        points.map(([name]) => name),
        [...expected.keys()],
      );
      for (const [name, text] of points) {
        const found = new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer);
        const seen = (values: Float32Array) => values.filter((value) => value !== -Infinity);
        const of = expected.get(name) ?? assert.fail(name);
        assert.ok(
          worstExcess(seen(found), seen(of)) <= BOUND,
          `${name} is off by ${worstExcess(seen(found), seen(of))}`,
        );
      }
    }
  });
});
