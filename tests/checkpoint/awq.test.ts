import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CheckpointError } from '../../src/base/errors.js';
import { f16ToF32, f32ToBf16 } from '../../src/base/float16.js';
import { awqLayout, unpackAwq, type AwqParts, type AwqSizes } from '../../src/checkpoint/awq.js';
import { packAwqGemm } from '../../src/checkpoint/pack-awq.js';
import { openSafetensors } from '../../src/checkpoint/safetensors.js';
import type { Dtype, Elements } from '../../src/checkpoint/tensor-info.js';
import { matmulReference } from '../../src/kernels/matmul.js';
import { dequantize, packMatrix, unpackCodes, type PackedStorage } from '../../src/matrix/index.js';
import { panelOrder } from '../../src/matrix/panels.js';
import { native } from '../../src/native/native.js';
import { readGolden, worstExcess } from '../support/golden.js';
import { randomNumbers } from '../support/random-model.js';
import { missing, sharedPath } from '../support/shared.js';
import { awqTensors, randomCodes, type AwqFormat, type AwqMatrix, type Tensors } from '../support/tiny-checkpoint.js';

const FORMATS: readonly AwqFormat[] = ['gemm', 'gemv', 'gemv_fast'];

/** What `unpackAwq` takes, from tensors in memory. */
function partsOf(tensors: Tensors): AwqParts {
  const part = (name: string) => ({
    dtype: tensors[name].dtype as Dtype,
    shape: tensors[name].shape,
    where: `file, tensor ${name}`,
    read: async () => tensors[name].data as Elements,
  });
  return { qweight: part('qweight'), scales: part('scales'), qzeros: 'qzeros' in tensors ? part('qzeros') : null };
}

const sizesOf = ({ out, input, group }: AwqMatrix): AwqSizes => ({
  outFeatures: out,
  inFeatures: input,
  groupSize: group,
});

/** Matrices that all layouts can hold, and odd ones for GEMM alone. */
const anyMatrix = (format: AwqFormat): fc.Arbitrary<AwqMatrix> =>
  fc
    .record({
      out: fc.integer({ min: 1, max: 12 }).map((n) => n * (format === 'gemm' ? 8 : 4)),
      input: fc.integer({ min: 1, max: 5 }).map((n) => n * (format === 'gemv_fast' ? 64 : format === 'gemv' ? 8 : 7)),
      group: fc.constantFrom(16, 32, 64, 128),
      seed: fc.nat(),
    })
    .map(({ out, input, group, seed }) => randomCodes(randomNumbers(seed), out, input, group));

describe('AWQ layers of AutoAWQ', { skip: missing('models/awq') }, () => {
  for (const format of FORMATS) {
    for (const group of [32, 128]) {
      test(`${format}, groups of ${group}: codes, zeros and weights exact, products within 1e-4`, async () => {
        const path = sharedPath(`models/awq/${format.replace('_', '')}-small.safetensors`) ?? '';
        const golden = readGolden(path);
        const values = (name: string) => golden.get(`g${group}.${name}`)?.values ?? assert.fail(name);
        const file = await openSafetensors(path);
        const tensors: Tensors = {};
        for (const name of ['qweight', 'qzeros', 'scales']) {
          const { dtype, shape } = file.info(`g${group}.${name}`);
          tensors[name] = { dtype, shape, data: await file.read(`g${group}.${name}`) };
        }
        await file.close();
        const parts = partsOf(tensors);
        const sizes = { outFeatures: 64, inFeatures: 256, groupSize: group };
        assert.equal(awqLayout(parts, sizes), format);
        const storage = await unpackAwq(parts, sizes);
        assert.deepEqual(unpackCodes(storage), values('codes'));
        if (format === 'gemv_fast') assert.equal(storage.zeros, null);
        else assert.deepEqual(storage.zeros, panelOrder(Uint8Array.from(values('zeros')), 64, 256 / group));
        assert.deepEqual(dequantize(storage), values('weight_f32'));

        const [x, bias, expected] = [values('x'), values('bias'), values('y')] as Float32Array[];
        const addon = native();
        const exactly = (...[input, rows, w, b, to]: Parameters<typeof matmulReference>) => addon?.matmul(input, rows, w, b, 'exact', to);
        for (const matmul of addon ? [matmulReference, exactly] : [matmulReference]) {
          const y = new Float32Array(expected.length);
          matmul(x, 5, storage, bias, y);
          assert.ok(worstExcess(y, expected) <= 1e-4, `off by ${worstExcess(y, expected)}`);
        }
      });
    }
  }
});

describe('AWQ layouts', () => {
  for (const format of FORMATS) {
    test(`${format}: any matrix comes back, with its padding dropped`, async () => {
      await fc.assert(
        fc.asyncProperty(anyMatrix(format), async (matrix) => {
          const parts = partsOf(awqTensors(format, matrix));
          assert.equal(awqLayout(parts, sizesOf(matrix)), format);
          const storage = await unpackAwq(parts, sizesOf(matrix));
          assert.deepEqual(unpackCodes(storage), matrix.codes);
          const inPanels = <T extends Uint8Array | Uint16Array>(values: T): T =>
            panelOrder(values, matrix.out, Math.ceil(matrix.input / matrix.group));
          assert.deepEqual(storage.scales, inPanels(matrix.scales));
          const { out: outFeatures, input: inFeatures, group: groupSize } = matrix;
          assert.deepEqual(storage.codes, packMatrix({ ...matrix, outFeatures, inFeatures, groupSize }).codes);
          if (format === 'gemv_fast') {
            assert.equal(storage.zeros, null);
            assert.equal(storage.offsets?.length, storage.scales.length);
            const gemm = await unpackAwq(partsOf(awqTensors('gemv', matrix)), sizesOf(matrix));
            const [weights, exact] = [dequantize(storage), dequantize(gemm)];
            // Offsets are −s·z rounded to float16: half a unit in the last place of at most 15·s.
            const largest = Math.max(...Array.from(matrix.scales, f16ToF32));
            assert.ok(worstExcess(weights, exact) <= 15 * largest * 2 ** -11, String(worstExcess(weights, exact)));
          } else {
            assert.deepEqual(storage.zeros, inPanels(matrix.zeros));
            assert.equal(storage.offsets, null);
          }
        }),
        { numRuns: 60 },
      );
    });
  }

  test('a square matrix is told by its scales, whatever the shapes of qweight', async () => {
    for (const format of ['gemm', 'gemv'] as const) {
      const matrix = randomCodes(randomNumbers(5), 64, 64, 32);
      assert.equal(awqLayout(partsOf(awqTensors(format, matrix)), sizesOf(matrix)), format);
      assert.deepEqual(
        unpackCodes(await unpackAwq(partsOf(awqTensors(format, matrix)), sizesOf(matrix))),
        matrix.codes,
      );
    }
  });

  test('one group per row, and no zero points', async () => {
    const matrix = randomCodes(randomNumbers(6), 16, 40, 40);
    const { qzeros, ...tensors } = awqTensors('gemm', matrix);
    assert.equal(qzeros.shape[0], 1);
    const storage = await unpackAwq(partsOf(tensors), { ...sizesOf(matrix), groupSize: Infinity });
    assert.equal(storage.groupSize, 40);
    assert.equal(storage.zeros, null);
    const weights = dequantize(storage);
    for (let i = 0; i < weights.length; i++) {
      assert.equal(weights[i], (matrix.codes[i] - 8) * f16ToF32(matrix.scales[Math.floor(i / 40)]));
    }
  });

  test('scales in bfloat16 and float32 become float32, exactly', async () => {
    const matrix = randomCodes(randomNumbers(7), 16, 64, 32);
    const tensors = awqTensors('gemm', matrix);
    const asFloats = Float32Array.from(tensors.scales.data as Uint16Array, f16ToF32);
    const bf16 = { ...tensors.scales, dtype: 'BF16', data: Uint16Array.from(asFloats, f32ToBf16) };
    const f32 = { ...tensors.scales, dtype: 'F32', data: asFloats };
    const exact = await unpackAwq(partsOf(tensors), sizesOf(matrix));
    const fromF32 = await unpackAwq(partsOf({ ...tensors, scales: f32 }), sizesOf(matrix));
    assert.ok(fromF32.scales instanceof Float32Array);
    assert.deepEqual(dequantize(fromF32), dequantize(exact));
    const fromBf16 = await unpackAwq(partsOf({ ...tensors, scales: bf16 }), sizesOf(matrix));
    assert.ok(fromBf16.scales instanceof Float32Array);
    for (const [i, bits] of panelOrder(matrix.scales, 16, 2).entries()) {
      const nearest = Math.fround(fromBf16.scales[i]);
      assert.ok(Math.abs(nearest / f16ToF32(bits) - 1) <= 2 ** -8);
      assert.equal(new Uint32Array(Float32Array.of(nearest).buffer)[0] & 0xffff, 0);
    }
  });

  test('shapes and dtypes that fit no layout', () => {
    const matrix = randomCodes(randomNumbers(8), 32, 64, 32);
    const wrong = (format: AwqFormat, change: (tensors: Tensors) => Tensors, parts: RegExp) => {
      const tensors = awqTensors(format, matrix);
      assert.throws(
        () => awqLayout(partsOf({ ...tensors, ...change(tensors) }), sizesOf(matrix)),
        (error) => error instanceof CheckpointError && parts.test(error.message),
        String(parts),
      );
    };
    const reshaped = (name: string, shape: number[]) => (tensors: Tensors) => ({ [name]: { ...tensors[name], shape } });
    const retyped = (name: string, dtype: string) => (tensors: Tensors) => ({ [name]: { ...tensors[name], dtype } });
    wrong(
      'gemm',
      reshaped('qweight', [4, 64]),
      /shape: found \[4, 64\], expected \[64, 4\] \(gemm\) or \[32, 8\] \(gemv\).*qweight/,
    );
    wrong('gemm', reshaped('qweight', [256]), /shape: found \[256\].*qweight/);
    wrong('gemm', reshaped('scales', [4, 16]), /shape: found \[4, 16\], expected \[2, 32\] \(gemm\).*scales/);
    wrong('gemm', reshaped('qzeros', [4, 2]), /shape: found \[4, 2\], expected \[2, 4\].*qzeros/);
    wrong('gemm', retyped('qweight', 'F32'), /dtype: found F32, expected I32 or I16.*qweight/);
    wrong('gemm', retyped('scales', 'F8_E4M3'), /dtype: found F8_E4M3, expected F16 or BF16 or F32.*scales/);
    wrong('gemm', retyped('qzeros', 'F16'), /dtype: found F16, expected I32.*qzeros/);
    wrong('gemv', reshaped('scales', [32, 1]), /shape: found \[32, 1\].*\[32, 2 or more\] \(gemv\).*scales/);
    wrong('gemv', reshaped('qzeros', [16, 8]), /shape: found \[16, 8\].*qzeros/);
    wrong('gemv_fast', reshaped('qweight', [64, 8]), /shape: found \[64, 8\], expected \[8, 64\].*qweight/);
    wrong('gemv_fast', reshaped('scales', [1, 32]), /shape: found \[1, 32\], expected \[2 or more, 32\].*scales/);
    wrong('gemv_fast', retyped('qzeros', 'BF16'), /dtype: found BF16, expected F16.*qzeros/);
    const sizes = { outFeatures: 30, inFeatures: 63, groupSize: 32 };
    const odd = partsOf(awqTensors('gemm', matrix));
    assert.throws(() => awqLayout(odd, sizes), /expected out or in features a multiple of 8, not 30 and 63/);
  });

  test('a scale or offset that is not finite is named with its place', async () => {
    const matrix = randomCodes(randomNumbers(9), 32, 64, 32);
    const cases: [AwqFormat, 'scales' | 'qzeros', number, RegExp][] = [
      [
        'gemm',
        'scales',
        0x7c00,
        /^scale: found Infinity, expected a finite number \(file, tensor scales, output 5, group 1\)/,
      ],
      ['gemm', 'scales', 0xfe00, /^scale: found NaN/],
      ['gemv', 'scales', 0xfc00, /^scale: found -Infinity.*output 5, group 1/],
      ['gemv_fast', 'qzeros', 0x7c01, /^offset: found NaN.*tensor qzeros, output 5, group 1/],
    ];
    for (const [format, name, bits, expected] of cases) {
      const tensors = awqTensors(format, matrix);
      const columns = tensors[name].shape[1];
      const at = format === 'gemv' ? 5 * columns + 1 : columns + 5;
      (tensors[name].data as Uint16Array)[at] = bits;
      await assert.rejects(unpackAwq(partsOf(tensors), sizesOf(matrix)), (error) => {
        return error instanceof CheckpointError && expected.test(error.message);
      });
    }
    const tensors = awqTensors('gemm', matrix);
    const values = new Float32Array(64).fill(1);
    values[33] = -Infinity;
    const scales = { dtype: 'F32', shape: [2, 32], data: values };
    await assert.rejects(unpackAwq(partsOf({ ...tensors, scales }), sizesOf(matrix)), /-Infinity.*output 1, group 1/);
    // AutoAWQ's padding of scales and zeros is not looked at.
    const gemv = awqTensors('gemv', matrix);
    (gemv.scales.data as Uint16Array)[2] = 0x7c00;
    await unpackAwq(partsOf(gemv), sizesOf(matrix));
  });
});

describe('packing for GEMM', () => {
  test('what is packed reads back the same, and is what AutoAWQ writes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 4 }),
        fc.constantFrom(1, 16, 33),
        async (seed, n, groups, group) => {
          const matrix = randomCodes(randomNumbers(seed), 8 * n, groups * group, group);
          const { out: outFeatures, input: inFeatures } = matrix;
          const storage: PackedStorage = packMatrix({ ...matrix, outFeatures, inFeatures, groupSize: group });
          const packed = await packAwqGemm(storage);
          const expected = awqTensors('gemm', matrix);
          assert.deepEqual(packed.qweight, expected.qweight.data);
          assert.deepEqual(packed.qzeros, expected.qzeros.data);
          assert.deepEqual(packed.scales, expected.scales.data);
          assert.deepEqual(await unpackAwq(partsOf(expected), sizesOf(matrix)), storage);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("AutoAWQ's own layer is packed to its own bytes", { skip: missing('models/awq') }, async () => {
    const path = sharedPath('models/awq/gemm-small.safetensors') ?? '';
    const file = await openSafetensors(path, { load: 'copy' });
    const tensors: Tensors = {};
    for (const name of ['qweight', 'qzeros', 'scales']) {
      const { dtype, shape } = file.info(`g32.${name}`);
      tensors[name] = { dtype, shape, data: await file.read(`g32.${name}`) };
    }
    await file.close();
    const packed = await packAwqGemm(
      await unpackAwq(partsOf(tensors), { outFeatures: 64, inFeatures: 256, groupSize: 32 }),
    );
    assert.deepEqual(packed.qweight, tensors.qweight.data);
    assert.deepEqual(packed.qzeros, tensors.qzeros.data);
    assert.deepEqual(packed.scales, tensors.scales.data);
  });

  test('matrices that the layout cannot hold', async () => {
    const pack = (out: number, input: number, group: number) => {
      const { codes, zeros, scales } = randomCodes(randomNumbers(1), out, input, group);
      return packMatrix({ outFeatures: out, inFeatures: input, groupSize: group, codes, zeros, scales });
    };
    await assert.rejects(packAwqGemm(pack(12, 32, 16)), /12 outputs, not a multiple of 8/);
    await assert.rejects(packAwqGemm(pack(16, 40, 16)), /40 inputs, not a multiple of the group size 16/);
    const storage = pack(16, 32, 16);
    await assert.rejects(packAwqGemm({ ...storage, scales: new Float32Array(32) }), /float32 scales/);
    await assert.rejects(packAwqGemm({ ...storage, zeros: null, offsets: new Uint16Array(32) }), /offsets/);
  });
});

describe('manners', () => {
  test('long work takes breaths in proportion, and stops with them', async () => {
    for (const format of FORMATS) {
      const matrix = randomCodes(randomNumbers(3), 1024, 256, 32);
      let breaths = 0;
      const breathe = async () => void breaths++;
      const storage = await unpackAwq(partsOf(awqTensors(format, matrix)), sizesOf(matrix), breathe);
      // 2^13 codes at a time or fewer: well under a millisecond.
      assert.ok(breaths >= (1024 * 256) / 2 ** 13, `${format}: ${breaths}`);
      if (format !== 'gemm') continue;
      breaths = 0;
      await packAwqGemm(storage, breathe);
      assert.ok(breaths >= (1024 * 256) / 2 ** 13, `packing: ${breaths}`);
      const stop = async () => {
        if (--breaths < 0) throw new Error('stopped');
      };
      await assert.rejects(unpackAwq(partsOf(awqTensors(format, matrix)), sizesOf(matrix), stop), /stopped/);
      await assert.rejects(packAwqGemm(storage, stop), /stopped/);
    }
  });
});
