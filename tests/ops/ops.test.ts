import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import { DisposedError, NibbleLensError, OptionError, ShapeError } from '../../src/base/errors.js';
import { add } from '../../src/kernels/add.js';
import { attention } from '../../src/kernels/attention.js';
import { attentionMix } from '../../src/kernels/attention-mix.js';
import { attentionScores } from '../../src/kernels/attention-scores.js';
import { divideRows } from '../../src/kernels/divide-rows.js';
import { embedding } from '../../src/kernels/embedding.js';
import type { Operand } from '../../src/kernels/kernel.js';
import { lastRows } from '../../src/kernels/last-rows.js';
import { matmulDense } from '../../src/kernels/matmul-dense.js';
import { matmulPacked } from '../../src/kernels/matmul-packed.js';
import { multiplyColumns } from '../../src/kernels/multiply-columns.js';
import { rmsNormScale } from '../../src/kernels/rms-norm-scale.js';
import { rmsNorm } from '../../src/kernels/rms-norm.js';
import { rope } from '../../src/kernels/rope.js';
import { roundToCache } from '../../src/kernels/round-to-cache.js';
import { softmax } from '../../src/kernels/softmax.js';
import { swiglu } from '../../src/kernels/swiglu.js';
import { PAGE_POSITIONS } from '../../src/native/native.js';
import * as ops from '../../src/ops/index.js';
import { cached } from '../native/attention-support.js';
import { assertSameBits, denseMatrix, floats, packedMatrix, randoms } from '../native/support.js';

await ops.ready('cpu');

const random = randoms(1);
const float = (...shape: number[]): Operand => ({
  values: floats(
    shape.reduce((a, b) => a * b, 1),
    random,
  ),
  shape,
});
const tensorOf = ({ values, shape }: Operand): tf.Tensor => tf.tensor(values, [...shape], 'float32');
const zeros = (...shape: number[]): tf.Tensor => tf.zeros(shape);

const packed = packedMatrix({ outFeatures: 6, inFeatures: 8, groupSize: 16, rule: 'zeros', half: true }, random);
const dense = denseMatrix('bf16', 6, 8, random);
const bias = floats(6, random);
const gain = floats(8, random);
const table = { cos: floats(20, random), sin: floats(20, random), positions: 5 };

describe('an op gives what its kernel gives', () => {
  const [x, y] = [float(2, 3, 8), float(2, 3, 8)];
  const scale = float(2, 3, 1);
  const [q, k, v] = [float(2, 3, 4, 8), float(2, 3, 2, 8), float(2, 3, 2, 8)];
  const sizes = { batch: 2, pos: 3, heads: 4, kvHeads: 2, dHead: 8, layers: 3 };
  const past = [cached(sizes, 70, 2, random), cached(sizes, 5, 2, random)];
  const pattern = float(2, 4, 3, 73);
  const positions = Int32Array.of(0, 1, 2, 4, 3, 0);
  const ids = { values: Int32Array.of(5, 0, 3), shape: [3] };
  const defaults = { scale: 1 / Math.sqrt(8), past: null, layers: 1 };

  const calls: Readonly<Record<string, [op: () => tf.Tensor, kernel: () => Operand | Operand[]]>> = {
    add: [() => ops.add(tensorOf(x), tensorOf(y)), () => add.compute({ a: x, b: y }, {})],
    'matmul, packed': [
      () => ops.matmul(tensorOf(x), packed, bias),
      () => matmulPacked.compute({ x }, { weight: packed, bias }),
    ],
    'matmul, dense': [
      () => ops.matmul(tensorOf(x), dense),
      () => matmulDense.compute({ x }, { weight: dense, bias: null }),
    ],
    embedding: [
      () => ops.embedding(tf.tensor1d(ids.values, 'int32'), dense),
      () => embedding.compute({ ids }, { table: dense }),
    ],
    rmsNorm: [() => ops.rmsNorm(tensorOf(x), gain, 1e-3), () => rmsNorm.compute({ x }, { gain, eps: 1e-3 })],
    rmsNormScale: [() => ops.rmsNormScale(tensorOf(x), 0), () => rmsNormScale.compute({ x }, { eps: 0 })],
    divideRows: [() => ops.divideRows(tensorOf(x), tensorOf(scale)), () => divideRows.compute({ x, scale }, {})],
    multiplyColumns: [() => ops.multiplyColumns(tensorOf(x), gain), () => multiplyColumns.compute({ x }, { gain })],
    rope: [() => ops.rope(tensorOf(q), positions, table), () => rope.compute({ x: q }, { positions, table, sign: 1 })],
    roundToCache: [() => ops.roundToCache(tensorOf(x), 'int8'), () => roundToCache.compute({ x }, { type: 'int8' })],
    softmax: [() => ops.softmax(tensorOf(x)), () => softmax.compute({ x }, {})],
    swiglu: [() => ops.swiglu(tensorOf(x), tensorOf(y)), () => swiglu.compute({ gate: x, up: y }, {})],
    lastRows: [() => ops.lastRows(tensorOf(x)), () => lastRows.compute({ x }, {})],
    reshape: [() => ops.reshape(tensorOf(x), [6, 1, 8]), () => ({ values: x.values, shape: [6, 1, 8] })],
    attention: [
      () => ops.attention(tensorOf(q), tensorOf(k), tensorOf(v)),
      () => attention.compute({ q, k, v }, defaults),
    ],
    'attention, cached': [
      () => ops.attention(tensorOf(q), tensorOf(k), tensorOf(v), { past, layers: 3, scale: 0.2 }),
      () => attention.compute({ q, k, v }, { past, layers: 3, scale: 0.2 }),
    ],
    attentionScores: [
      () => ops.attentionScores(tensorOf(q), tensorOf(k), { past, layers: 3, scale: 0 }),
      () => attentionScores.compute({ q, k }, { past, layers: 3, scale: 0 }),
    ],
    attentionMix: [
      () => ops.attentionMix(tensorOf(pattern), tensorOf(v), { past, layers: 3 }),
      () => attentionMix.compute({ pattern, v }, { past, layers: 3 }),
    ],
  };

  for (const [name, [op, kernel]] of Object.entries(calls)) {
    test(name, () => {
      const [found, expected] = [op(), kernel()];
      assert.ok(!Array.isArray(expected));
      assert.deepEqual(found.shape, expected.shape);
      assert.equal(found.dtype, 'float32');
      assertSameBits(ops.tensorValues(found), expected.values, name);
    });
  }
});

test('the three steps of rmsNorm and of attention give the bits of the whole', () => {
  const x = tensorOf(float(4, 8));
  const [q, k, v] = [float(2, 5, 6, 10), float(2, 5, 3, 10), float(2, 5, 3, 10)].map(tensorOf);
  const scale = ops.rmsNormScale(x, 1e-5);
  const normed = ops.multiplyColumns(ops.divideRows(x, scale), gain);
  assertSameBits(ops.tensorValues(normed), ops.tensorValues(ops.rmsNorm(x, gain, 1e-5)), 'rmsNorm');
  const mixed = ops.attentionMix(ops.softmax(ops.attentionScores(q, k)), v);
  assertSameBits(ops.tensorValues(mixed), ops.tensorValues(ops.attention(q, k, v)), 'attention');
});

describe('wrong arguments are typed errors that say thing, found, expected and where', () => {
  const q = zeros(1, 2, 4, 8);
  const k = zeros(1, 2, 2, 8);
  const page = new Float32Array(2 * 2 * PAGE_POSITIONS * 8);
  const ints = tf.tensor([1, 2], [1, 2], 'int32');
  const disposed = zeros(2, 8);
  disposed.dispose();

  const wrong: [call: () => unknown, Kind: typeof NibbleLensError, message: string][] = [
    [() => ops.add(zeros(2, 3), zeros(3, 2)), ShapeError, 'shape of b: found [3, 2], expected [2, 3] (add)'],
    [() => ops.add(zeros(2, 3), zeros(3)), ShapeError, 'shape of b: found [3], expected [2, 3] (add)'],
    [() => ops.add(ints, ints), ShapeError, 'dtype of a: found int32, expected float32 (add)'],
    [() => ops.add(zeros(2), tf.tensor([true, false])), ShapeError, 'dtype of b: found bool, expected float32 (add)'],
    [() => ops.add(disposed, zeros(2, 8)), DisposedError, 'tensor a: found disposed, expected in use (add)'],
    [
      () => ops.add(zeros(0, 3), zeros(0, 3)),
      ShapeError,
      'shape of a: found [0, 3], expected at least one value (add)',
    ],
    [() => ops.swiglu(zeros(2), zeros(1, 2)), ShapeError, 'shape of up: found [1, 2], expected [2] (swiglu)'],
    [() => ops.swiglu(ints, ints), ShapeError, 'dtype of gate: found int32, expected float32 (swiglu)'],

    [() => ops.matmul(zeros(2, 9), packed), ShapeError, 'last axis of x: found 9, expected 8 (matmul)'],
    [() => ops.matmul(zeros(2, 9), dense), ShapeError, 'last axis of x: found 9, expected 8 (matmul)'],
    [() => ops.matmul(tf.scalar(1), packed), ShapeError, 'shape of x: found [], expected at least one axis (matmul)'],
    [() => ops.matmul(zeros(2, 8), packed, gain), ShapeError, 'length of the bias: found 8, expected 6 (matmul)'],
    [
      () => ops.matmul(zeros(2, 8), { ...packed, codes: packed.codes.subarray(1) }),
      ShapeError,
      'length of weight.codes: found 255, expected 256 (matmul)',
    ],
    [
      () => ops.matmul(zeros(2, 8), { ...packed, groupSize: 4 }),
      ShapeError,
      'length of weight.scales: found 16, expected 32 (matmul)',
    ],
    [
      () => ops.matmul(zeros(2, 8), { ...packed, zeros: new Uint8Array(5) }),
      ShapeError,
      'length of weight.zeros: found 5, expected 16 (matmul)',
    ],
    [
      () => ops.matmul(zeros(2, 8), { ...dense, values: gain }),
      ShapeError,
      'length of weight.values: found 8, expected 48 (matmul)',
    ],

    [() => ops.embedding(zeros(1, 2), dense), ShapeError, 'dtype of ids: found float32, expected int32 (embedding)'],
    [
      () => ops.embedding(tf.tensor([0, 6], [2], 'int32'), dense),
      OptionError,
      'token id: found 6, expected a whole number from 0 to 5 (embedding)',
    ],
    [
      () => ops.embedding(tf.tensor([-1], [1], 'int32'), dense),
      OptionError,
      'token id: found -1, expected a whole number from 0 to 5 (embedding)',
    ],
    [
      () => ops.embedding(ints, { ...dense, outFeatures: 7 }),
      ShapeError,
      'length of table.values: found 48, expected 56 (embedding)',
    ],

    [() => ops.rmsNorm(zeros(2, 9), gain, 1e-5), ShapeError, 'length of the gain: found 8, expected 9 (rmsNorm)'],
    [() => ops.rmsNorm(zeros(2, 8), gain, -1), OptionError, 'eps: found -1, expected 0 or more (rmsNorm)'],
    [() => ops.rmsNorm(zeros(2, 8), gain, NaN), OptionError, 'eps: found NaN, expected 0 or more (rmsNorm)'],
    [
      () => ops.rmsNormScale(zeros(2, 8), Infinity),
      OptionError,
      'eps: found Infinity, expected 0 or more (rmsNormScale)',
    ],
    [
      () => ops.rmsNormScale(tf.scalar(1), 0),
      ShapeError,
      'shape of x: found [], expected at least one axis (rmsNormScale)',
    ],
    [
      () => ops.divideRows(zeros(2, 8), zeros(2)),
      ShapeError,
      'shape of scale: found [2], expected [2, 1] (divideRows)',
    ],
    [
      () => ops.multiplyColumns(zeros(2, 4), gain),
      ShapeError,
      'length of the gain: found 8, expected 4 (multiplyColumns)',
    ],
    [() => ops.softmax(tf.scalar(1)), ShapeError, 'shape of x: found [], expected at least one axis (softmax)'],
    [() => ops.lastRows(zeros(2, 8)), ShapeError, 'shape of x: found [2, 8], expected 3 axes (lastRows)'],

    [
      () => ops.reshape(zeros(2, 3), [7]),
      OptionError,
      'size in the new shape: found 7, expected a whole number from 1 to 6 (reshape)',
    ],
    [() => ops.reshape(zeros(2, 3), [2, 2]), ShapeError, 'values in the new shape: found 4, expected 6 (reshape)'],
    [
      () => ops.reshape(zeros(2, 3), [-2, -3]),
      OptionError,
      'size in the new shape: found -2, expected a whole number from 1 to 6 (reshape)',
    ],
    [
      () => ops.reshape(zeros(2, 3), [1.5, 4]),
      OptionError,
      'size in the new shape: found 1.5, expected a whole number from 1 to 6 (reshape)',
    ],

    [
      () => ops.rope(zeros(2, 8), new Int32Array(2), table),
      ShapeError,
      'shape of x: found [2, 8], expected 4 axes (rope)',
    ],
    [() => ops.rope(q, new Int32Array(3), table), ShapeError, 'number of positions: found 3, expected 2 (rope)'],
    [
      () => ops.rope(zeros(1, 2, 1, 6), new Int32Array(2), table),
      ShapeError,
      'length of cos: found 20, expected 15 (rope)',
    ],
    [
      () => ops.rope(zeros(1, 2, 1, 7), new Int32Array(2), table),
      ShapeError,
      'd_head: found 7, expected an even number (rope)',
    ],
    [
      () => ops.rope(q, new Int32Array(2), { ...table, sin: gain }),
      ShapeError,
      'length of sin: found 8, expected 20 (rope)',
    ],
    [
      () => ops.rope(q, Int32Array.of(0, 5), table),
      OptionError,
      'position: found 5, expected a whole number from 0 to 4 (rope)',
    ],
    [
      () => ops.rope(q, Int32Array.of(0, -1), table),
      OptionError,
      'position: found -1, expected a whole number from 0 to 4 (rope)',
    ],

    [() => ops.attention(zeros(2, 8), k, k), ShapeError, 'shape of q: found [2, 8], expected 4 axes (attention)'],
    [
      () => ops.attention(q, zeros(1, 3, 2, 8), k),
      ShapeError,
      'shape of k: found [1, 3, 2, 8], expected [1, 2, 2, 8] (attention)',
    ],
    [
      () => ops.attention(q, k, zeros(1, 2, 1, 8)),
      ShapeError,
      'shape of v: found [1, 2, 1, 8], expected [1, 2, 2, 8] (attention)',
    ],
    [
      () => ops.attention(q, zeros(1, 2, 3, 8), zeros(1, 2, 3, 8)),
      ShapeError,
      'heads and key heads: found [4, 3], expected a multiple (attention)',
    ],
    [
      () => ops.attention(q, k, k, { scale: NaN }),
      OptionError,
      'scale: found NaN, expected a finite number (attention)',
    ],
    [
      () => ops.attentionScores(q, k, { layers: 0 }),
      OptionError,
      'layers: found 0, expected a whole number from 1 on (attentionScores)',
    ],
    [
      () => ops.attentionScores(q, k, { past: [] }),
      ShapeError,
      'sequences with a past: found 0, expected 1 (attentionScores)',
    ],
    [
      () => ops.attentionScores(q, k, { past: [{ pages: [page], length: 65, layer: 0 }] }),
      OptionError,
      'cached positions: found 65, expected a whole number from 0 to 64 (attentionScores)',
    ],
    [
      () => ops.attention(q, k, k, { past: [{ pages: [page.subarray(1)], length: 1, layer: 0 }] }),
      ShapeError,
      'length of a page: found 2047, expected 2048 (attention)',
    ],
    [
      () => ops.attentionMix(zeros(1, 4, 2, 3), k, { past: [{ pages: [page], length: 1, layer: 1 }] }),
      OptionError,
      'layer: found 1, expected a whole number from 0 to 0 (attentionMix)',
    ],
    [
      () => ops.attentionMix(zeros(1, 4, 2, 3), k),
      ShapeError,
      'shape of pattern: found [1, 4, 2, 3], expected [1, 4, 2, 2] (attentionMix)',
    ],
    [
      () => ops.attentionMix(zeros(1, 3, 2, 2), k),
      ShapeError,
      'heads and key heads: found [3, 2], expected a multiple (attentionMix)',
    ],

    [() => ops.tensorValues(ints), ShapeError, 'dtype of a tensor: found int32, expected float32'],
    [() => ops.tensorValues(disposed), DisposedError, 'tensor: found disposed, expected in use'],
  ];

  for (const [call, Kind, message] of wrong) {
    test(message, () => {
      assert.throws(call, (error) => {
        assert.ok(error instanceof Kind, String(error));
        assert.equal(error.message, message);
        return true;
      });
    });
  }
});
