import type { Tensor } from '@tensorflow/tfjs-core';
import { DisposedError, ShapeError } from '../base/errors.js';
import { groupSlots, packedBytes } from '../matrix/panels.js';
import { groupsPerRow, type MatrixStorage } from '../matrix/storage.js';

/** A shape in words: "[2, 3, 8]". */
export const inWords = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

/** @throws DisposedError after `dispose()`, ShapeError unless the tensor has values, the dtype and one of the ranks. */
export function checkTensor(
  op: string,
  thing: string,
  x: Tensor,
  ranks: readonly number[] | null,
  dtype = 'float32',
): void {
  if (x.isDisposed)
    throw new DisposedError({ thing: `tensor ${thing}`, found: 'disposed', expected: 'in use', where: op });
  if (x.dtype !== dtype)
    throw new ShapeError({ thing: `dtype of ${thing}`, found: x.dtype, expected: dtype, where: op });
  if (ranks && !ranks.includes(x.rank)) {
    throw new ShapeError({
      thing: `shape of ${thing}`,
      found: inWords(x.shape),
      expected: `${ranks.join(' or ')} axes`,
      where: op,
    });
  }
  if (x.size === 0) {
    throw new ShapeError({
      thing: `shape of ${thing}`,
      found: inWords(x.shape),
      expected: 'at least one value',
      where: op,
    });
  }
}

/** @throws ShapeError unless `found` is `expected`, number by number. */
export function checkShape(op: string, thing: string, found: readonly number[], expected: readonly number[]): void {
  if (found.length === expected.length && found.every((size, axis) => size === expected[axis])) return;
  throw new ShapeError({ thing: `shape of ${thing}`, found: inWords(found), expected: inWords(expected), where: op });
}

/** @throws ShapeError unless the sizes are equal. */
export function checkSize(op: string, thing: string, found: number, expected: number): void {
  if (found !== expected) throw new ShapeError({ thing, found, expected, where: op });
}

/** The last axis. @throws ShapeError for a tensor without axes. */
export function lastAxis(op: string, thing: string, x: Tensor): number {
  const size = x.shape[x.rank - 1];
  if (size === undefined)
    throw new ShapeError({ thing: `shape of ${thing}`, found: '[]', expected: 'at least one axis', where: op });
  return size;
}

/** @throws ShapeError unless a matrix's arrays are as long as its sizes say. */
export function checkMatrix(op: string, thing: string, w: MatrixStorage): void {
  const { outFeatures, inFeatures } = w;
  const check = (array: string, values: ArrayLike<unknown> | null, expected: number) => {
    if (values) checkSize(op, `length of ${thing}.${array}`, values.length, expected);
  };
  if (w.kind === 'dense') return check('values', w.values, outFeatures * inFeatures);
  const slots = groupSlots(outFeatures, groupsPerRow(inFeatures, w.groupSize));
  check('codes', w.codes, packedBytes(outFeatures, inFeatures, w.bits));
  check('scales', w.scales, slots);
  check('zeros', w.zeros, slots);
  check('offsets', w.offsets, slots);
}
