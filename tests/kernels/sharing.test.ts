import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as tf from '@tensorflow/tfjs-core';
import * as ops from '../../src/ops/index.js';
import { native } from '../../src/native/native.js';
import { assertSameBits, denseMatrix, floats, packedMatrix, randoms } from '../native/support.js';
import { TEST_BACKENDS } from '../support/backends.js';

const implementation = native() ? 'native' : 'TypeScript';
const random = randoms(1);
const packed = packedMatrix({ outFeatures: 24, inFeatures: 24, groupSize: 16, rule: 'zeros', half: true }, random);
const dense = denseMatrix('f16', 24, 24, random);
const gain = floats(24, random);
const angles = floats(9 * 4, random);
const table = { cos: angles.map(Math.cos), sin: angles.map(Math.sin), positions: 9 };
const positions = Int32Array.of(0, 1, 2, 3, 4, 5);

const heads = (x: tf.Tensor, count: number): tf.Tensor => ops.reshape(x, [2, 3, count, 24 / count]);

/** Every op on one tensor [2, 3, 24] of activations. */
const OPS: Readonly<Record<string, (x: tf.Tensor) => tf.Tensor>> = {
  add: (x) => ops.add(x, x),
  matmulPacked: (x) => ops.matmul(x, packed),
  matmulDense: (x) => ops.matmul(x, dense, gain),
  rmsNorm: (x) => ops.rmsNorm(x, gain, 1e-5),
  rmsNormScale: (x) => ops.rmsNormScale(x, 1e-5),
  divideRows: (x) => ops.divideRows(x, ops.rmsNormScale(x, 1e-5)),
  multiplyColumns: (x) => ops.multiplyColumns(x, gain),
  rope: (x) => ops.rope(heads(x, 3), positions, table),
  attentionScores: (x) => ops.attentionScores(heads(x, 4), heads(x, 4)),
  attentionMix: (x) => ops.attentionMix(ops.softmax(ops.attentionScores(heads(x, 4), heads(x, 4))), heads(x, 4)),
  attention: (x) => ops.attention(heads(x, 3), heads(x, 3), heads(x, 3)),
  softmax: (x) => ops.softmax(x),
  swiglu: (x) => ops.swiglu(x, x),
  lastRows: (x) => ops.lastRows(x),
  reshape: (x) => ops.reshape(x, [6, 24]),
};

const activations = (): Float32Array => floats(2 * 3 * 24, randoms(2), 1);
const activationTensor = (values: Float32Array): tf.Tensor => tf.tensor(values, [2, 3, 24], 'float32');

for (const { name: backend, skip } of TEST_BACKENDS) {
  describe(`arrays between ${implementation} kernels on ${backend}`, { skip }, () => {
    test('are shared: a tensor is the array that it was made of, and a kernel reads that array', async () => {
      await ops.ready(backend);
      const values = activations();
      const x = activationTensor(values);
      assert.equal(ops.tensorValues(x), values);
      for (const [name, op] of Object.entries(OPS)) {
        const y = op(x);
        assert.equal(ops.tensorValues(y), ops.tensorValues(y), name);
        assert.equal(ops.tensorValues(ops.reshape(y, [y.size])), ops.tensorValues(y), `what follows ${name}`);
        assert.equal(ops.tensorValues(x), values, `the input of ${name}`);
      }
    });

    test('are never written twice: inputs, weights and tables stay as they are', async () => {
      await ops.ready(backend);
      const values = activations();
      const x = activationTensor(values);
      const arrays = [
        values,
        packed.codes,
        packed.scales,
        packed.zeros ?? gain,
        dense.values,
        gain,
        table.cos,
        table.sin,
        positions,
      ];
      const before = arrays.map((array) => array.slice());
      const ids = tf.tensor1d([1, 0, 23], 'int32');
      for (const op of [...Object.values(OPS), () => ops.embedding(ids, dense)]) op(x);
      for (const op of Object.values(OPS)) tf.grad((one) => tf.sum(op(one)))(x);
      arrays.forEach((array, i) => assert.deepEqual(array, before[i]));
      assert.deepEqual(ops.tensorValues(x), before[0]);
    });

    test('outlive their tensors', async () => {
      await ops.ready(backend);
      const y = ops.tidyValues(() => ops.rmsNorm(activationTensor(activations()), gain, 1e-5));
      const again = ops.tidyValues(() => ops.rmsNorm(activationTensor(activations()), gain, 1e-5));
      assertSameBits(y, again, 'rmsNorm');
      assert.notEqual(y, again);
    });

    test('give the same bits when ops of tfjs have taken the tensors before, or made them', async () => {
      await ops.ready(backend);
      const plain = activationTensor(activations());
      const touched = activationTensor(activations());
      tf.relu(touched).dataSync();
      const made = tf.add(activationTensor(activations()), tf.scalar(0));
      const reshaped = tf.reshape(tf.reshape(activationTensor(activations()), [48, 3]), [2, 3, 24]);
      const sliced = tf.slice(tf.concat([plain, plain], 0), [2, 0, 0], [2, 3, 24]);
      for (const [name, op] of Object.entries(OPS)) {
        const expected = ops.tensorValues(op(plain));
        for (const [what, x] of Object.entries({ touched, made, reshaped, sliced, copied: plain.clone() })) {
          assertSameBits(ops.tensorValues(op(x)), expected, `${name} of a tensor ${what}`);
        }
        const y = op(touched);
        tf.neg(y).dataSync();
        assertSameBits(ops.tensorValues(y), expected, `${name}, then taken by tfjs`);
        assert.deepEqual(
          tf.add(y, tf.scalar(1)).arraySync(),
          tf.add(tf.tensor(expected, y.shape), tf.scalar(1)).arraySync(),
        );
      }
    });

    test('tidyValues leaves no tensor, whatever happens', async () => {
      await ops.ready(backend);
      const x = activationTensor(activations());
      const before = tf.memory().numTensors;
      ops.tidyValues(() => ops.softmax(ops.add(x, ops.swiglu(x, x))));
      assert.throws(() => ops.tidyValues(() => ops.add(ops.add(x, x), ops.lastRows(x))), { name: 'ShapeError' });
      assert.throws(() => ops.tidyValues(() => tf.scalar(1, 'int32')), { name: 'ShapeError' });
      assert.equal(tf.memory().numTensors, before);
    });
  });
}

const [cpu, tensorflow] = TEST_BACKENDS;

test(
  `${implementation} kernels give the same bits on cpu and tensorflow, and on tensors that the other has made`,
  { skip: tensorflow.skip },
  async () => {
    const results: Float32Array[][] = [];
    const tensors: tf.Tensor[] = [];
    for (const { name } of [cpu, tensorflow]) {
      await ops.ready(name);
      tensors.push(activationTensor(activations()));
      results.push(Object.values(OPS).map((op) => ops.tensorValues(op(tensors[0]))));
      results.push(Object.values(OPS).map((op) => ops.tensorValues(op(tensors[tensors.length - 1]))));
    }
    await ops.ready(cpu.name);
    results.push(Object.values(OPS).map((op) => ops.tensorValues(op(tensors[1]))));
    Object.keys(OPS).forEach((name, i) => results.forEach((result) => assertSameBits(result[i], results[0][i], name)));
  },
);
