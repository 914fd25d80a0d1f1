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
  type CodeBits,
  type DenseStorage,
  type UnpackedMatrix,
} from '../../src/matrix/index.js';
import { randomNumbers } from '../support/random-model.js';

/** What is documented of a panel's block: 64 bytes of 16 outputs and 4 inputs for each bit of a code. */
const PLANES = { 2: [2], 3: [2, 1], 4: [4], 5: [4, 1], 6: [4, 2], 8: [4, 4] } as const;

/** The codes of a matrix as layout 3 orders them: every byte of every line in turn, and what is in it. */
function codesByWalk(code: (n: number, k: number) => number, out: number, input: number, bits: keyof typeof PLANES): number[] {
  const bytes: number[] = [];
  for (let panel = 0; panel < out; panel += 16) {
    for (let block = 0; block < input; block += 32) {
      let below = 1;
      for (const width of PLANES[bits]) {
        for (let line = block; line < block + 32; line += 32 / width) {
          for (let place = 0; place < 64; place++) {
            let byte = 0;
            for (let quad = 0; quad < 8 / width; quad++) {
              const [n, k] = [panel + Math.floor(place / 4), line + 4 * quad + (place % 4)];
              const whole = n < out && k < input ? code(n, k) : 0;
              byte += (Math.floor(whole / below) % 2 ** width) * 2 ** (width * quad);
            }
            bytes.push(byte);
          }
        }
        below *= 2 ** width;
      }
    }
  }
  return bytes;
}

const anyMatrix = fc.record({
  bits: fc.constantFrom(...CODE_BITS),
  out: fc.integer({ min: 1, max: 50 }),
  input: fc.integer({ min: 1, max: 140 }),
  group: fc.integer({ min: 1, max: 150 }),
  seed: fc.nat(),
});

test('codes of every width stand where layout 3 says, padding is 0, and they come back', () => {
  fc.assert(
    fc.property(anyMatrix, ({ bits, out, input, seed }) => {
      const random = randomNumbers(seed);
      const codes = Uint8Array.from({ length: out * input }, () => random() * 2 ** bits);
      const sizes = { bits, outFeatures: out, inFeatures: input, groupSize: input };
      const storage = packMatrix({ ...sizes, codes, scales: new Float32Array(out) });
      assert.deepEqual([...storage.codes], codesByWalk((n, k) => codes[n * input + k], out, input, bits));
      assert.deepEqual(unpackCodes(storage), codes);
      const odd = new Uint8Array(storage.codes.length + 3).subarray(3);
      odd.set(storage.codes);
      assert.deepEqual(unpackCodes({ ...storage, codes: odd }), codes, 'at any byte');
    }),
    { numRuns: 300 },
  );
});

test('a code of every width, and where it is', () => {
  const place = (bits: CodeBits, n: number, k: number, code: number) => {
    const codes = new Uint8Array(20 * 70);
    codes[n * 70 + k] = code;
    const storage = packMatrix({ bits, outFeatures: 20, inFeatures: 70, groupSize: 70, codes, scales: new Uint16Array(20) });
    return [...storage.codes.entries()].filter(([, byte]) => byte !== 0);
  };
  // panel 1 starts after 3 blocks of 64 · bits; output 17 is its second, input 37 the second of quad 1 of block 1
  const inBlock = 4 * 1 + 1;
  assert.deepEqual(place(4, 17, 37, 0xa), [[(3 + 1) * 256 + inBlock, 0xa0]]);
  assert.deepEqual(place(2, 17, 37, 0b10), [[(3 + 1) * 128 + inBlock, 0b1000]]);
  assert.deepEqual(place(3, 17, 37, 0b110), [[(3 + 1) * 192 + inBlock, 0b1000], [(3 + 1) * 192 + 128 + inBlock, 0b10]]);
  assert.deepEqual(place(5, 17, 37, 0x1a), [[(3 + 1) * 320 + inBlock, 0xa0], [(3 + 1) * 320 + 256 + inBlock, 0b10]]);
  assert.deepEqual(place(6, 17, 37, 0x3a), [[(3 + 1) * 384 + inBlock, 0xa0], [(3 + 1) * 384 + 256 + inBlock, 0b1100]]);
  assert.deepEqual(place(8, 17, 37, 0xba), [[(3 + 1) * 512 + inBlock, 0xa0], [(3 + 1) * 512 + 256 + inBlock, 0xb0]]);
  // quad 7, the last of a block, is the high nibble of its last line
  assert.deepEqual(place(4, 0, 31, 0xa), [[3 * 64 + 3, 0xa0]]);
});

test('scales, zero points and offsets stand in panels, with 0 for outputs that are not there', () => {
  fc.assert(
    fc.property(anyMatrix, ({ bits, out, input, group, seed }) => {
      const random = randomNumbers(seed);
      const groups = Math.ceil(input / group);
      const sizes = { bits, outFeatures: out, inFeatures: input, groupSize: group, codes: new Uint8Array(out * input) };
      const scales = Float32Array.from({ length: out * groups }, () => random() + 1);
      const zeros = Uint8Array.from(scales, () => random() * 2 ** bits);
      const offsets = scales.map((scale) => -scale);
      const ordered = (values: ArrayLike<number>): number[] => {
        const all: number[] = [];
        for (let panel = 0; panel < out; panel += 16) {
          for (let g = 0; g < groups; g++) {
            for (let n = panel; n < panel + 16; n++) all.push(n < out ? values[n * groups + g] : 0);
          }
        }
        return all;
      };
      const affine = packMatrix({ ...sizes, scales, zeros });
      assert.deepEqual([...affine.scales], ordered(scales));
      assert.deepEqual([...(affine.zeros ?? [])], ordered(zeros));
      assert.equal(affine.offsets, null);
      const shifted = packMatrix({ ...sizes, scales: Uint16Array.from(zeros), offsets: Uint16Array.from(zeros) });
      assert.deepEqual(shifted.scales, Uint16Array.from(ordered(zeros)));
      assert.deepEqual(shifted.offsets, Uint16Array.from(ordered(zeros)));
      assert.deepEqual(packMatrix({ ...sizes, scales, offsets }).offsets, Float32Array.from(ordered(offsets)));
    }),
    { numRuns: 100 },
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
  packMatrix(good);
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
  assert.equal(bitsPerWeight(narrow), 8 * (4 * 64 + 16 * 2));
  const dense: DenseStorage = {
    kind: 'dense',
    dtype: 'bf16',
    outFeatures: 2,
    inFeatures: 3,
    values: new Uint16Array(6),
  };
  assert.deepEqual([bitsPerWeight(dense), storageBytes(dense), storageArrays(dense)], [16, 12, [dense.values]]);
});
