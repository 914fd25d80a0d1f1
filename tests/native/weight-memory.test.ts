import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { weightBytes, weightFloats, weightHalves, weightMemory } from '../../src/native/weight-memory.js';
import { addon, withoutAddon } from './support.js';

describe('memory for weights', { skip: withoutAddon }, () => {
  test('is zeros that no two arrays share, at multiples of a cache line', () => {
    const arrays = [
      ...[1, 100, 65536, 65537, 3_000_001, 70_000_000].map(weightBytes),
      ...[1, 40_001, 2_000_003].flatMap((length) => [weightHalves(length), weightFloats(length)]),
    ];
    for (const array of arrays) {
      assert.equal(array.byteOffset % 64, 0);
      assert.ok(array.every((value) => value === 0));
      array.fill(1);
    }
    const places = arrays.filter(({ byteLength }) => byteLength >= 65536);
    assert.ok(new Set(places.map(({ buffer }) => buffer)).size < places.length, 'chunks are shared');
    for (const [i, a] of places.entries()) {
      for (const b of places.slice(i + 1)) {
        if (a.buffer !== b.buffer) continue;
        assert.ok(a.byteOffset + a.byteLength <= b.byteOffset || b.byteOffset + b.byteLength <= a.byteOffset);
      }
    }
  });

  test('that cannot be had is a RangeError', () => {
    for (const length of [0, -1, 1.5, NaN, 2 ** 32 + 1, 2 ** 53]) assert.throws(() => addon().allocate(length), RangeError);
    assert.throws(() => Reflect.apply(addon().allocate, addon(), ['1']), TypeError);
    assert.equal(weightMemory(10).start, 0);
  });
});
