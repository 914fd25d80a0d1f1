import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ContextFullError, DisposedError, OptionError, OutOfMemoryError } from '../../src/base/errors.js';
import { rotaryTable, inverseFrequencies } from '../../src/layers/rotary-table.js';
import { KVCache, type CacheShape } from '../../src/model/kv-cache.js';
import { CACHE_TYPES, roundRows } from '../../src/native/cache-pages.js';
import { PAGE_POSITIONS, type CacheType } from '../../src/native/native.js';
import { pageRow } from '../native/attention-support.js';
import { randomNumbers } from '../support/random-model.js';

const rope = { type: 'default', theta: 10000 } as const;
const shapeOf = (layers: number, kvHeads: number, dHead: number, contextLength = 400, type: CacheType = 'f32'): CacheShape => ({
  type,
  layers,
  kvHeads,
  dHead,
  contextLength,
  frequencies: inverseFrequencies(rope, dHead),
});

/** Appends positions whose keys and values are `value(layer, kind, head, position, i)`. */
type Value = (layer: number, kind: number, head: number, position: number, i: number) => number;

function append(cache: KVCache, count: number, value: Value): void {
  const { layers, kvHeads, dHead } = cache.shape;
  cache.reserve(count);
  for (let layer = 0; layer < layers; layer++) {
    const rows = [0, 1].map((kind) =>
      Float32Array.from({ length: count * kvHeads * dHead }, (_, at) => {
        const position = cache.length + Math.floor(at / (kvHeads * dHead));
        return value(layer, kind, Math.floor(at / dHead) % kvHeads, position, at % dHead);
      }),
    );
    cache.write(layer, rows[0], rows[1]);
  }
  cache.advance(count);
}

/** Reads by the documented page layout, independently of the class. */
function read(cache: KVCache, layer: number, kind: number, head: number, position: number): number[] {
  const { kvHeads, dHead } = cache.shape;
  const { pages } = cache.view(layer);
  const block = (layer * 2 + kind) * kvHeads + head;
  return [...pageRow(pages[Math.floor(position / PAGE_POSITIONS)], block, position % PAGE_POSITIONS, dHead)];
}

const type = fc.constantFrom(...CACHE_TYPES);
/** Bytes of a page by type, for one layer and kv head. */
const pageBytes = (dHead: number) => ({ f32: 512 * dHead, f16: 256 * dHead, int8: 128 * (4 + dHead) });

const plain: Value = (layer, kind, head, position, i) => layer * 1000 + kind * 500 + head * 100 + position + i / 64;

function assertHolds(cache: KVCache, value: Value): void {
  const { layers, kvHeads, dHead, type } = cache.shape;
  for (let layer = 0; layer < layers; layer++) {
    for (let kind = 0; kind < 2; kind++) {
      for (let head = 0; head < kvHeads; head++) {
        for (let position = 0; position < cache.length; position++) {
          const expected = Float32Array.from({ length: dHead }, (_, i) => value(layer, kind, head, position, i));
          roundRows(type, expected, dHead, expected);
          assert.deepEqual(read(cache, layer, kind, head, position), [...expected]);
        }
      }
    }
  }
}

test('holds what was written, over any split of the positions', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 4 }), type, (counts, type) => {
      const cache = new KVCache(shapeOf(2, 3, 4, 400, type));
      for (const count of counts) append(cache, count, plain);
      assert.equal(cache.length, counts.reduce((a, b) => a + b, 0));
      assert.equal(cache.bytes, Math.ceil(cache.length / PAGE_POSITIONS) * 2 * 3 * pageBytes(4)[type]);
      assertHolds(cache, plain);
    }),
    { numRuns: 20 },
  );
});

test('a fork and its origin do not see what the other writes', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 150 }), fc.integer({ min: 1, max: 80 }), fc.nat(), type, (common, own, cut, type) => {
      const cache = new KVCache(shapeOf(1, 2, 2, 400, type));
      append(cache, common, plain);
      const fork = cache.fork();
      const kept = cut % (common + 1);
      fork.truncate(kept);
      const other: Value = (...at) => -plain(...at);
      append(fork, own, other);
      append(cache, own, plain);
      assertHolds(cache, plain);
      assertHolds(fork, (layer, kind, head, position, i) => (position < kept ? plain : other)(layer, kind, head, position, i));
      fork.dispose();
      assertHolds(cache, plain);
    }),
    { numRuns: 30 },
  );
});

test('a fork shares its pages until one writes', () => {
  const cache = new KVCache(shapeOf(1, 1, 2));
  append(cache, 2 * PAGE_POSITIONS + 1, plain);
  const fork = cache.fork();
  append(fork, 1, plain);
  const [a, b] = [cache.view(0).pages, fork.view(0).pages];
  assert.equal(a[0], b[0]);
  assert.equal(a[1], b[1]);
  assert.notEqual(a[2], b[2]);
});

/** What a key of at most √2 in size may be off by once it was rounded, turned and rounded again. */
const TURNED_TWICE = { f32: 1e-4, f16: 2.5e-3, int8: 1.5e-2 };
/** What a value of at most 1 in size may be off by: it is rounded once. */
const ROUNDED_ONCE = { f32: 1e-6, f16: 2 ** -12, int8: 1 / 253 };

test('after discard, keys stand at their new positions and values are unchanged', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 4 }), type, async (seed, half, type) => {
      const dHead = 2 * half;
      const shape = shapeOf(2, 2, dHead, 400, type);
      const random = randomNumbers(seed);
      const total = 2 + Math.floor(random() * 150);
      const from = Math.floor(random() * total);
      const count = Math.floor(random() * (total - from + 1));
      const { cos, sin } = rotaryTable(rope, dHead, 400);
      const base = (layer: number, head: number, original: number, i: number) =>
        Math.sin(1 + layer * 7 + head * 3 + original * 0.37 + i * 1.7);
      const at = (shift: (position: number) => number): Value => (layer, kind, head, position, i) => {
        const original = shift(position);
        if (kind === 1) return base(layer, head, original, i);
        const pair = i % half;
        const [c, s] = [cos[position * half + pair], sin[position * half + pair]];
        const [x, y] = [base(layer, head, original, pair), base(layer, head, original, pair + half)];
        return i < half ? x * c - y * s : y * c + x * s;
      };
      const cache = new KVCache(shape);
      append(cache, total, at((position) => position));
      await cache.discard(from, count);
      assert.equal(cache.length, total - count);
      const expected = at((position) => (position < from ? position : position + count));
      for (let position = 0; position < cache.length; position++) {
        for (const kind of [0, 1]) {
          read(cache, 1, kind, 1, position).forEach((value, i) => {
            const bound = kind === 0 ? TURNED_TWICE : ROUNDED_ONCE;
            assert.ok(Math.abs(value - expected(1, kind, 1, position, i)) <= bound[type]);
          });
        }
      }
    }),
    { numRuns: 40 },
  );
});

test('discard of shared pages leaves the fork’s origin as it was, and drops pages that are empty', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 300 }), fc.nat(), fc.nat(), type, async (total, a, b, type) => {
      const [from, to] = [a % (total + 1), b % (total + 1)].sort((x, y) => x - y);
      const cache = new KVCache(shapeOf(1, 2, 2, 400, type));
      append(cache, total, plain);
      const fork = cache.fork();
      await fork.discard(from, to - from);
      assertHolds(cache, plain);
      assert.equal(fork.length, total - (to - from));
      assert.equal(fork.view(0).pages.length, Math.ceil(fork.length / PAGE_POSITIONS));
      const untouched = Math.floor(from / PAGE_POSITIONS);
      assert.deepEqual(fork.view(0).pages.slice(0, untouched), cache.view(0).pages.slice(0, untouched));
      for (let position = from; position < fork.length; position++) {
        assert.deepEqual(read(fork, 0, 1, 1, position), read(cache, 0, 1, 1, position + to - from));
      }
      append(fork, 3, plain);
      assertHolds(cache, plain);
    }),
    { numRuns: 60 },
  );
});

test('the end of the context, wrong lengths and use after dispose are typed errors', async () => {
  const cache = new KVCache(shapeOf(1, 1, 2, 10));
  append(cache, 10, plain);
  assert.throws(() => cache.reserve(1), ContextFullError);
  assert.throws(() => cache.truncate(11), OptionError);
  await assert.rejects(cache.discard(5, 6), OptionError);
  cache.reset();
  assert.equal(cache.length, 0);
  assert.equal(cache.bytes, 0);
  cache.dispose();
  cache.dispose();
  assert.throws(() => cache.reserve(1), DisposedError);
});

test('a page for which there is no memory is a typed error, and leaves the cache as it was', () => {
  for (const type of CACHE_TYPES) {
    const cache = new KVCache(shapeOf(2 ** 12, 2 ** 12, 2 ** 20, 400, type));
    assert.throws(() => cache.reserve(1), OutOfMemoryError);
    assert.deepEqual([cache.length, cache.bytes], [0, 0]);
  }
});

test('where memory ends after some pages, those are let go of', () => {
  const cache = new KVCache(shapeOf(1, 1, 2, 1e6));
  append(cache, 65, plain);
  const whole = Float32Array;
  let left = 3;
  globalThis.Float32Array = new Proxy(whole, {
    construct(target, args, newTarget) {
      if (args[0] === 2 * PAGE_POSITIONS * 2 && left-- === 0) throw new RangeError('Array buffer allocation failed');
      return Reflect.construct(target, args, newTarget);
    },
  });
  try {
    assert.throws(() => cache.reserve(500), OutOfMemoryError);
  } finally {
    globalThis.Float32Array = whole;
  }
  assert.equal(cache.view(0).pages.length, 2);
  append(cache, 100, plain);
  assertHolds(cache, plain);
});
