import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { f16ToF32 } from '../../src/base/float16.js';
import { CACHE_TYPES, copyRow, makePage, readRow, roundRows, writeRow, type PagePlace } from '../../src/native/cache-pages.js';
import { PAGE_POSITIONS, type CacheType } from '../../src/native/native.js';
import { pageRow } from './attention-support.js';
import { floats, randoms, seed } from './support.js';

const rounded = (type: CacheType, x: Float32Array, dHead = x.length): Float32Array => {
  const y = new Float32Array(x.length);
  roundRows(type, x, dHead, y);
  return y;
};

/** Vectors whose sizes go from 2^-20 to 2^15. */
const vectors = fc.tuple(seed, fc.integer({ min: 1, max: 70 }), fc.integer({ min: -20, max: 15 }));

test('a row is within the bounds that are stated of what was written', () => {
  fc.assert(
    fc.property(vectors, ([from, dHead, power]) => {
      const x = floats(3 * dHead, randoms(from)).map((value) => value * 2 ** power);
      assert.deepEqual(rounded('f32', x, dHead), x);
      rounded('f16', x, dHead).forEach((value, i) => {
        assert.ok(Math.abs(value - x[i]) <= Math.max(2 ** -11 * Math.abs(x[i]), 2 ** -25), `f16 ${x[i]}`);
      });
      const y = rounded('int8', x, dHead);
      for (let row = 0; row < 3; row++) {
        const most = Math.max(...x.subarray(row * dHead, (row + 1) * dHead).map(Math.abs));
        for (let i = row * dHead; i < (row + 1) * dHead; i++) {
          assert.ok(Math.abs(y[i] - x[i]) <= most / 253, `int8 ${x[i]} of ${most}`);
        }
      }
    }),
    { numRuns: 200 },
  );
});

test('what is no number stays in its row, and what is tiny or huge is told apart', () => {
  for (const odd of [NaN, Infinity, -Infinity]) {
    const y = rounded('int8', Float32Array.of(1, odd, 1, 2), 2);
    assert.deepEqual([...y], [NaN, NaN, Math.fround(Math.fround(2 / 127) * 64), 2]);
    assert.deepEqual([...rounded('f16', Float32Array.of(1, odd))], [1, odd]);
  }
  assert.deepEqual([...rounded('int8', Float32Array.of(0, -0, 1e-45))], [0, 0, 0]);
  assert.deepEqual([...rounded('f16', Float32Array.of(65504, 65520, -1e9, 2 ** -24))], [65504, Infinity, -Infinity, 2 ** -24]);
});

test('rows lie where the layout says, apart from each other, and are copied as they are', () => {
  fc.assert(
    fc.property(fc.constantFrom(...CACHE_TYPES), seed, fc.integer({ min: 1, max: 20 }), (type, from, dHead) => {
      const random = randoms(from);
      const sizes = { layers: 2, kvHeads: 3, dHead };
      const [page, other] = [makePage(type, sizes), makePage(type, sizes)];
      const places = Array.from({ length: 2 * 2 * 3 * PAGE_POSITIONS }, (_, i): PagePlace => ({
        layer: Math.floor(i / (6 * PAGE_POSITIONS)),
        kind: Math.floor(i / (3 * PAGE_POSITIONS)) % 2 === 0 ? 0 : 1,
        kvHead: Math.floor(i / PAGE_POSITIONS) % 3,
        slot: i % PAGE_POSITIONS,
      }));
      const rows = places.map(() => floats(dHead, random));
      places.forEach((place, i) => writeRow(page, sizes, place, rows[i]));
      places.forEach((place, i) => {
        const found = readRow(page, sizes, place);
        assert.deepEqual(found, rounded(type, rows[i]));
        assert.deepEqual(found, pageRow(page, Math.floor(i / PAGE_POSITIONS), i % PAGE_POSITIONS, dHead));
        copyRow(sizes, page, place, other, places[places.length - 1 - i]);
      });
      places.forEach((place, i) => {
        assert.deepEqual(readRow(other, sizes, places[places.length - 1 - i]), readRow(page, sizes, place));
      });
    }),
    { numRuns: 12 },
  );
});

test('float16 is rounded to nearest, ties to even', () => {
  for (let bits = 0; bits < 0x7bff; bits += 37) {
    const [low, high] = [f16ToF32(bits), f16ToF32(bits + 1)];
    assert.deepEqual([...rounded('f16', Float32Array.of(low, (low + high) / 2))], [low, bits % 2 === 0 ? low : high]);
  }
});
