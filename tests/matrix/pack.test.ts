import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ShapeError } from '../../src/base/errors.js';
import {
  bitsPerWeight,
  CODE_BITS,
  packMatrix,
  storageArrays,
  storageBytes,
  unpackCodes,
  type DenseStorage,
  type UnpackedMatrix,
} from '../../src/matrix/index.js';

const anyCodes = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 100 })).chain(([out, input]) =>
  fc.record({
    out: fc.constant(out),
    input: fc.constant(input),
    codes: fc.uint8Array({ min: 0, max: 15, minLength: out * input, maxLength: out * input }),
  }),
);

test('4-bit codes stand where compute layout 2 says, padding is 0, and they come back', () => {
  fc.assert(
    fc.property(anyCodes, ({ out, input, codes }) => {
      const storage = packMatrix({
        outFeatures: out,
        inFeatures: input,
        groupSize: input,
        codes,
        scales: new Float32Array(out),
      });
      assert.equal(storage.rowBytes % 16, 0);
      assert.ok(storage.rowBytes >= input / 2 && storage.rowBytes < input / 2 + 16);
      const expected = new Uint8Array(out * storage.rowBytes);
      codes.forEach((code, i) => {
        const [n, k] = [Math.floor(i / input), i % input];
        expected[n * storage.rowBytes + Math.floor(k / 2)] += k % 2 === 0 ? code : 16 * code;
      });
      assert.deepEqual(storage.codes, expected);
      assert.deepEqual(unpackCodes(storage), codes);
    }),
    { numRuns: 200 },
  );
});

/** The documented place of the bits of code k, by walking blocks rather than by formula. */
function bitsByWalk(row: Uint8Array, bits: number): number[] {
  const bytes: number[] = [];
  const planes = { 2: [2], 3: [2, 1], 4: [4], 5: [4, 1], 6: [4, 2], 8: [8] }[bits]!;
  let below = 0;
  for (const p of planes) {
    const runs = p === 8 ? 0.5 : 4 / p;
    for (let start = 0; start < row.length; start += 64 * runs) {
      const block = new Array<number>(p === 8 ? 32 : row.length - start <= 32 ? 16 : 32).fill(0);
      for (let k = start; k < Math.min(row.length, start + 64 * runs); k++) {
        const value = Math.floor(row[k] / 2 ** below) % 2 ** p;
        const [run, odd, j] = [Math.floor((k - start) / 64), k % 2, Math.floor((k % 64) / 2)];
        if (p === 8) block[16 * odd + (j % 16)] = value;
        else block[j] += value * 2 ** (p * (2 * run + odd));
      }
      bytes.push(...block);
    }
    below += p;
  }
  return bytes;
}

test('codes of every width stand where planes.ts says, and come back', () => {
  const anyMatrix = fc.record({
    bits: fc.constantFrom(...CODE_BITS),
    input: fc.integer({ min: 1, max: 700 }),
    seed: fc.integer({ min: 0, max: 255 }),
  });
  fc.assert(
    fc.property(anyMatrix, ({ bits, input, seed }) => {
      const codes = Uint8Array.from({ length: 2 * input }, (_, i) => ((i * 151 + seed * 7 + (i >> 3)) & 255) % 2 ** bits);
      const storage = packMatrix({ bits, outFeatures: 2, inFeatures: input, groupSize: input, codes, scales: new Float32Array(2) });
      assert.deepEqual(unpackCodes(storage), codes);
      const rows = [codes.subarray(0, input), codes.subarray(input)];
      assert.deepEqual([...storage.codes], rows.flatMap((row) => bitsByWalk(row, bits)));
    }),
    { numRuns: 300 },
  );
});

test('what does not fit together is refused, with what was found', () => {
  const good: UnpackedMatrix = {
    outFeatures: 2,
    inFeatures: 5,
    groupSize: 3,
    codes: new Uint8Array(10).fill(15),
    scales: new Uint16Array(4),
    zeros: new Uint8Array(4).fill(15),
  };
  assert.equal(packMatrix(good).zeros, good.zeros);
  const bad: [change: Partial<UnpackedMatrix>, message: RegExp][] = [
    [{ outFeatures: 0 }, /outFeatures: found 0/],
    [{ inFeatures: 2.5 }, /inFeatures: found 2.5/],
    [{ groupSize: 0 }, /groupSize: found 0/],
    [{ groupSize: Infinity }, /groupSize: found Infinity/],
    [{ codes: new Uint8Array(9) }, /length of codes: found 9, expected 10/],
    [{ codes: new Uint8Array(10).fill(16, 7, 8) }, /code: found 16, expected 0 to 15 \(element 7\)/],
    [{ scales: new Uint16Array(2) }, /length of scales: found 2, expected 4/],
    [{ zeros: new Uint8Array(3) }, /length of zeros/],
    [{ zeros: new Uint8Array(4).fill(99) }, /zero point: found 99/],
    [{ offsets: new Uint16Array(4) }, /decode rule: found zeros and offsets/],
    [{ zeros: null, offsets: new Uint16Array(5) }, /length of offsets/],
    [{ zeros: null, offsets: new Float32Array(4) }, /offsets: found Float32Array, expected Uint16Array/],
  ];
  for (const [change, message] of bad) {
    assert.throws(
      () => packMatrix({ ...good, ...change }),
      (error) => {
        return error instanceof ShapeError && message.test(error.message);
      },
      String(message),
    );
  }
});

test('bits per weight: 4 and 20 per group, with float16 scales and zero points of a byte: 24; padding counts', () => {
  const [out, input, groupSize] = [64, 256, 128];
  const groups = (out * input) / groupSize;
  const codes = new Uint8Array(out * input);
  const sizes = { outFeatures: out, inFeatures: input, groupSize, codes };
  const packed = packMatrix({ ...sizes, scales: new Uint16Array(groups), zeros: new Uint8Array(groups) });
  assert.equal(bitsPerWeight(packed), 4 + 24 / groupSize);
  assert.equal(storageBytes(packed), (out * input) / 2 + 3 * groups);
  assert.equal(storageArrays(packed).length, 3);
  const symmetric = packMatrix({ ...sizes, scales: new Float32Array(groups) });
  assert.equal(bitsPerWeight(symmetric), 4 + 32 / groupSize);
  const narrow = packMatrix({
    outFeatures: 1,
    inFeatures: 1,
    groupSize: 1,
    codes: new Uint8Array(1),
    scales: new Uint16Array(1),
  });
  assert.equal(bitsPerWeight(narrow), 8 * (16 + 2));
  const dense: DenseStorage = {
    kind: 'dense',
    dtype: 'bf16',
    outFeatures: 2,
    inFeatures: 3,
    values: new Uint16Array(6),
  };
  assert.deepEqual([bitsPerWeight(dense), storageBytes(dense), storageArrays(dense)], [16, 12, [dense.values]]);
});
