import { ShapeError } from '../base/errors.js';
import { groupsPerRow, packedRowBytes, type PackedStorage } from './storage.js';

/** What `packMatrix` takes: a `PackedStorage` whose codes are not packed yet. */
export interface UnpackedMatrix {
  readonly outFeatures: number;
  readonly inFeatures: number;
  readonly groupSize: number;
  /** [outFeatures, inFeatures], one code 0…15 per byte. */
  readonly codes: Uint8Array;
  /** [outFeatures, groups] */
  readonly scales: PackedStorage['scales'];
  /** [outFeatures, groups] zero points 0…15; null: 8 everywhere, or `offsets` instead. */
  readonly zeros?: Uint8Array | null;
  /** [outFeatures, groups], of the type of `scales`. */
  readonly offsets?: PackedStorage['offsets'];
}

/**
 * A packed matrix of codes given one per byte; scales, zeros and offsets are kept, not copied.
 * @throws ShapeError if lengths do not fit the sizes, or a code or zero point is over 15.
 */
export function packMatrix(matrix: UnpackedMatrix): PackedStorage {
  const { outFeatures, inFeatures, groupSize, codes, scales, zeros = null, offsets = null } = matrix;
  for (const [thing, size] of Object.entries({ outFeatures, inFeatures, groupSize })) {
    if (!Number.isSafeInteger(size) || size < 1) throw new ShapeError({ thing, found: size, expected: '1 or more' });
  }
  const groups = outFeatures * groupsPerRow(inFeatures, groupSize);
  checkLength('codes', codes, outFeatures * inFeatures);
  checkLength('scales', scales, groups);
  if (zeros) checkLength('zeros', zeros, groups);
  if (offsets) checkLength('offsets', offsets, groups);
  checkNibbles('code', codes);
  if (zeros) checkNibbles('zero point', zeros);
  if (zeros && offsets)
    throw new ShapeError({ thing: 'decode rule', found: 'zeros and offsets', expected: 'one of them' });
  if (offsets && offsets.constructor !== scales.constructor) {
    throw new ShapeError({ thing: 'offsets', found: offsets.constructor.name, expected: scales.constructor.name });
  }
  const rowBytes = packedRowBytes(inFeatures);
  const packed = new Uint8Array(outFeatures * rowBytes);
  for (let n = 0; n < outFeatures; n++) {
    const row = n * inFeatures;
    for (let k = 0; k < inFeatures; k++) packed[n * rowBytes + (k >> 1)] |= codes[row + k] << (4 * (k & 1));
  }
  return {
    kind: 'packed',
    bits: 4,
    outFeatures,
    inFeatures,
    groupSize,
    rowBytes,
    codes: packed,
    scales,
    zeros,
    offsets,
  };
}

/** The codes of a packed matrix, one per byte: [outFeatures, inFeatures]. */
export function unpackCodes({ outFeatures, inFeatures, rowBytes, codes }: PackedStorage): Uint8Array {
  const unpacked = new Uint8Array(outFeatures * inFeatures);
  for (let n = 0, i = 0; n < outFeatures; n++) {
    for (let k = 0; k < inFeatures; k++, i++) unpacked[i] = (codes[n * rowBytes + (k >> 1)] >> (4 * (k & 1))) & 15;
  }
  return unpacked;
}

function checkLength(thing: string, array: ArrayLike<number>, expected: number): void {
  if (array.length !== expected) throw new ShapeError({ thing: `length of ${thing}`, found: array.length, expected });
}

function checkNibbles(thing: string, values: Uint8Array): void {
  for (let i = 0; i < values.length; i++) {
    if (values[i] > 15) throw new ShapeError({ thing, found: values[i], expected: '0 to 15', where: `element ${i}` });
  }
}
