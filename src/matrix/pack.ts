import { ShapeError } from '../base/errors.js';
import { checkOneOf } from '../base/options.js';
import { CODE_BITS, packedBytes, packRow, panelOrder, unpackRow } from './panels.js';
import { groupsPerRow, type CodeBits, type PackedStorage } from './storage.js';

/** What `packMatrix` takes: the numbers of a `PackedStorage`, row by row. */
export interface UnpackedMatrix {
  /** 4 unless given. */
  readonly bits?: CodeBits;
  readonly outFeatures: number;
  readonly inFeatures: number;
  readonly groupSize: number;
  /** [outFeatures, inFeatures], one code 0…2^bits − 1 per byte. */
  readonly codes: Uint8Array;
  /** [outFeatures, groups] */
  readonly scales: PackedStorage['scales'];
  /** [outFeatures, groups] zero points 0…2^bits − 1; null: 2^(bits − 1) everywhere, or `offsets` instead. */
  readonly zeros?: Uint8Array | null;
  /** [outFeatures, groups], of the type of `scales`. */
  readonly offsets?: PackedStorage['offsets'];
}

/**
 * A packed matrix of codes given one per byte.
 * @throws ShapeError if lengths do not fit the sizes, or a code or zero point needs more than `bits`; OptionError for other `bits`.
 */
export function packMatrix(matrix: UnpackedMatrix): PackedStorage {
  const { bits = 4, outFeatures, inFeatures, groupSize, codes, scales, zeros = null, offsets = null } = matrix;
  checkOneOf('bits', bits, CODE_BITS);
  for (const [thing, size] of Object.entries({ outFeatures, inFeatures, groupSize })) {
    if (!Number.isSafeInteger(size) || size < 1) throw new ShapeError({ thing, found: size, expected: '1 or more' });
  }
  const groups = groupsPerRow(inFeatures, groupSize);
  checkLength('codes', codes, outFeatures * inFeatures);
  for (const [thing, array] of Object.entries({ scales, zeros, offsets })) {
    if (array) checkLength(thing, array, outFeatures * groups);
  }
  checkCodes('code', codes, bits);
  if (zeros) checkCodes('zero point', zeros, bits);
  if (zeros && offsets)
    throw new ShapeError({ thing: 'decode rule', found: 'zeros and offsets', expected: 'one of them' });
  if (offsets && offsets.constructor !== scales.constructor) {
    throw new ShapeError({ thing: 'offsets', found: offsets.constructor.name, expected: scales.constructor.name });
  }
  const packed = new Uint8Array(packedBytes(outFeatures, inFeatures, bits));
  for (let n = 0; n < outFeatures; n++) packRow(codes.subarray(n * inFeatures, (n + 1) * inFeatures), bits, packed, n);
  return {
    kind: 'packed',
    bits,
    outFeatures,
    inFeatures,
    groupSize,
    codes: packed,
    scales: panelOrder(scales, outFeatures, groups),
    zeros: zeros && panelOrder(zeros, outFeatures, groups),
    offsets: offsets && panelOrder(offsets, outFeatures, groups),
  };
}

/** The codes of a packed matrix, one per byte: [outFeatures, inFeatures]. */
export function unpackCodes({ bits, outFeatures, inFeatures, codes }: PackedStorage): Uint8Array {
  const unpacked = new Uint8Array(outFeatures * inFeatures);
  for (let n = 0; n < outFeatures; n++) {
    unpackRow(codes, bits, n, unpacked.subarray(n * inFeatures, (n + 1) * inFeatures));
  }
  return unpacked;
}

function checkLength(thing: string, array: ArrayLike<number>, expected: number): void {
  if (array.length !== expected) throw new ShapeError({ thing: `length of ${thing}`, found: array.length, expected });
}

function checkCodes(thing: string, values: Uint8Array, bits: CodeBits): void {
  const largest = 2 ** bits - 1;
  for (let i = 0; i < values.length; i++) {
    if (values[i] > largest) {
      throw new ShapeError({ thing, found: values[i], expected: `0 to ${largest}`, where: `element ${i}` });
    }
  }
}
