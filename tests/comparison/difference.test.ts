import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShapeError } from '../../src/base/errors.js';
import { differenceOf } from '../../src/comparison/difference.js';

const of = (...values: number[]): Float32Array => Float32Array.from(values);

test('relative error and cosine are those of vectors', () => {
  assert.deepEqual(differenceOf(of(3, 4), of(3, 4)), { relativeError: 0, cosine: 1 });
  assert.deepEqual(differenceOf(of(3, 4), of(6, 8)), { relativeError: 1, cosine: 1 });
  assert.deepEqual(differenceOf(of(3, 4), of(-3, -4)), { relativeError: 2, cosine: -1 });
  assert.deepEqual(differenceOf(of(1, 0), of(0, 1)), { relativeError: Math.SQRT2, cosine: 0 });
});

test('what is masked in both does not count', () => {
  assert.deepEqual(differenceOf(of(-Infinity, 3, 4), of(-Infinity, 6, 8)), { relativeError: 1, cosine: 1 });
  assert.equal(differenceOf(of(-Infinity, 3), of(1, 3)).relativeError, NaN);
});

test('of zeros: none from zeros, beyond measure from anything else', () => {
  assert.deepEqual(differenceOf(of(0, 0), of(0, 0)), { relativeError: 0, cosine: 1 });
  assert.deepEqual(differenceOf(of(), of()), { relativeError: 0, cosine: 1 });
  assert.deepEqual(differenceOf(of(0, 0), of(1, 0)), { relativeError: Infinity, cosine: NaN });
  assert.deepEqual(differenceOf(of(1, 0), of(0, 0)), { relativeError: 1, cosine: NaN });
});

test('sums are in float64', () => {
  const count = 3_000_000;
  const { relativeError, cosine } = differenceOf(new Float32Array(count).fill(1), new Float32Array(count).fill(1.5));
  assert.ok(Math.abs(relativeError - 0.5) < 1e-12 && Math.abs(cosine - 1) < 1e-12);
});

test('arrays of different lengths are a typed error', () => {
  assert.throws(
    () => differenceOf(of(1), of(1, 2), 'hook_embed'),
    (error) => {
      return error instanceof ShapeError && error.message === 'values: found 2, expected 1 (hook_embed)';
    },
  );
});
