import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OptionError } from '../../src/base/errors.js';
import { bundled } from '../../src/bundled.js';
import { dequantize, formName, formOf, type DenseStorage } from '../../src/matrix/index.js';
import { loadModel, type LoadOptions, type OpenedModel } from '../../src/opened-model.js';
import { withOuterTypes } from '../../src/quantization/outer-matrices.js';
import { OUTER_TYPES, type OuterType } from '../../src/quantization/outer-types.js';
import { quantizeRtn } from '../../src/quantization/rtn.js';
import { randomWeights, type RandomModelShape } from '../support/random-model.js';
import { tinyFolder, withFolder, type TinyOptions } from '../support/tiny-checkpoint.js';

const breathe = async () => {};
const SHAPE: RandomModelShape = {
  layers: 1, dModel: 40, dFf: 20, kvHeads: 1, group: 2, dHead: 20, vocab: 50, weights: 'f32', groupSize: 32, bias: false, tied: false, seed: 4,
};

const formsOf = ({ embed_tokens, lm_head }: ReturnType<typeof randomWeights>): string[] =>
  [embed_tokens, lm_head.weight].map((matrix) => formName(formOf(matrix)));

describe('lm_head and embedding as they are loaded', () => {
  test('each as it was asked for, the layers untouched', async () => {
    const weights = randomWeights(SHAPE);
    const names = { stored: 'f32', f16: 'f16', int8: 'int8 g32', int4: 'int4 g32' };
    for (const head of OUTER_TYPES) {
      for (const embedding of OUTER_TYPES) {
        const held = await withOuterTypes(weights, { head, embedding }, breathe);
        assert.deepEqual(formsOf(held), [names[embedding], names[head]]);
        assert.equal(held.layers, weights.layers);
        if (head === 'stored') assert.equal(held.lm_head.weight, weights.lm_head.weight);
        if (embedding === 'stored') assert.equal(held.embed_tokens, weights.embed_tokens);
      }
    }
  });

  test('rounded to nearest in groups of 32, from float and packed matrices alike', async () => {
    for (const stored of ['f32', 'bf16', 'int4'] as const) {
      const { lm_head, ...weights } = randomWeights({ ...SHAPE, weights: stored });
      const floats = dequantize(lm_head.weight);
      for (const bits of [8, 4] as const) {
        const head = bits === 8 ? 'int8' : 'int4';
        const held = await withOuterTypes({ ...weights, lm_head }, { head, embedding: 'stored' }, breathe);
        const expected = quantizeRtn(floats, SHAPE.vocab, SHAPE.dModel, 32, { bits });
        assert.deepEqual(held.lm_head.weight, stored === 'int4' && bits === 4 ? lm_head.weight : expected);
        const decoded = dequantize(expected);
        for (let group = 0; group < 2 * SHAPE.vocab; group++) {
          const [row, first] = [Math.floor(group / 2), (group % 2) * 32];
          const at = Array.from({ length: Math.min(32, SHAPE.dModel - first) }, (__, i) => row * SHAPE.dModel + first + i);
          const values = [0, ...at.map((i) => floats[i])];
          const step = (Math.max(...values) - Math.min(...values)) / (2 ** bits - 1);
          // half a step, and what rounding of the scale and the zero point to a whole number adds
          for (const i of at) assert.ok(Math.abs(decoded[i] - floats[i]) <= 1.1 * step, `${bits} bits, ${decoded[i]} for ${floats[i]}`);
        }
      }
    }
  });

  test('float16 is rounded to nearest', async () => {
    const weights = randomWeights(SHAPE);
    const held = await withOuterTypes(weights, { head: 'f16', embedding: 'stored' }, breathe);
    const [before, after] = [dequantize(weights.lm_head.weight), dequantize(held.lm_head.weight)];
    for (const [i, value] of after.entries()) assert.ok(Math.abs(value - before[i]) <= Math.abs(before[i]) * 2 ** -11 + 2 ** -25);
  });

  test('one matrix for both stays one where both get one type', async () => {
    const weights = randomWeights({ ...SHAPE, tied: true });
    for (const type of OUTER_TYPES) {
      const held = await withOuterTypes(weights, { head: type, embedding: type }, breathe);
      assert.equal(held.lm_head.weight, held.embed_tokens);
    }
    const apart = await withOuterTypes(weights, { head: 'int8', embedding: 'stored' }, breathe);
    assert.equal(apart.embed_tokens, weights.embed_tokens);
    assert.deepEqual(formsOf(apart), ['f32', 'int8 g32']);
  });

  test('weights that a type does not reach are refused, with their place', async () => {
    const weights = randomWeights(SHAPE);
    const stored = weights.lm_head.weight as DenseStorage;
    const withWeight = (value: number) => ({
      ...weights,
      lm_head: { bias: null, weight: { ...stored, values: (stored.values as Float32Array).with(45, value) } },
    });
    const asked = (value: number, head: OuterType) => withOuterTypes(withWeight(value), { head, embedding: 'stored' }, breathe);
    await assert.rejects(asked(1e5, 'f16'), /weight: found 100000, expected finite, and at most 65504 \(lm_head as f16, output 1, input 5\)/);
    await assert.rejects(asked(NaN, 'f16'), OptionError);
    await assert.rejects(asked(1e9, 'int8'), /lm_head as int8, output 1, input 0\)/);
    await assert.rejects(asked(Infinity, 'int4'), /lm_head as int4, output 1, input 5\)/);
  });
});

describe('loadModel with head and embedding', () => {
  const rowsOf = (model: OpenedModel) => {
    const rows = model.memory().objects() as { kind: string; stored: string; bytes: number }[];
    return new Map(rows.map(({ kind, stored, bytes }) => [kind, { stored, bytes }]));
  };

  test('tells of it in memory and record, and changes little', async () => {
    const ids = Int32Array.from({ length: 24 }, (_, i) => (i * 131) % 4096);
    const logitsOf = async (options: LoadOptions) => {
      const model = await loadModel(bundled.storyteller, options);
      return { model, logits: (await model.run(ids)).logits };
    };
    const { model: plain, logits: expected } = await logitsOf({});
    assert.equal(plain.record().head, 'bf16');
    assert.equal(rowsOf(plain).get('lm_head')?.stored, 'bf16');
    const norm = Math.hypot(...expected);
    for (const [head, name, bits, most] of [['f16', 'f16', 16, 2e-3], ['int8', 'int8 g32', 8.75, 0.02], ['int4', 'int4 g32', 4.75, 0.2]] as const) {
      const { model, logits } = await logitsOf({ head, embedding: head });
      assert.equal(model.record().head, name);
      assert.equal(model.record().precision, plain.record().precision);
      for (const kind of ['lm_head', 'embedding']) {
        assert.deepEqual(rowsOf(model).get(kind), { stored: name, bytes: (4096 * 256 * bits) / 8 });
      }
      const error = Math.hypot(...logits.map((logit, i) => logit - expected[i])) / norm;
      assert.ok(error > 0 && error < most, `${head}: ${error}`);
    }
  });

  test('works for tied and AWQ models, and refuses other types', async () => {
    const models: readonly TinyOptions[] = [{ weights: 'F32', tied: true }, { weights: 'gemm', floats: 'F16' }];
    for (const options of models) {
      await withFolder(tinyFolder(options), async (folder) => {
        const told: number[][] = [];
        const model = await loadModel(folder, { head: 'int8', onProgress: (...progress) => void told.push(progress) });
        assert.deepEqual(told, [[1, 4], [2, 4], [3, 4], [4, 4]]);
        assert.equal(model.record().head, 'int8 g32');
        assert.ok((await model.run(Int32Array.of(1, 2))).logits.every(Number.isFinite));
        await assert.rejects(loadModel(folder, { head: 'int5' as OuterType }), /head: found int5, expected stored, f16, int8, int4/);
        await assert.rejects(loadModel(folder, { embedding: 'none' as OuterType }), /embedding: found none/);
      });
    }
  });
});
