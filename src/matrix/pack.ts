import { ShapeError } from '../base/errors.js';
import { checkOneOf } from '../base/options.js';
import { CODE_BITS, packCodes, packedRowBytes, unpackRow } from './planes.js';
import { groupsPerRow, type CodeBits, type PackedStorage } from './storage.js';

/** What `packMatrix` takes: a `PackedStorage` whose codes are not packed yet. */
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
 * A packed matrix of codes given one per byte; scales, zeros and offsets are kept, not copied.
 * @throws ShapeError if lengths do not fit the sizes, or a code or zero point needs more than `bits`; OptionError for other `bits`.
 */
export function packMatrix(matrix: UnpackedMatrix): PackedStorage {
  const { bits = 4, outFeatures, inFeatures, groupSize, codes, scales, zeros = null, offsets = null } = matrix;
  checkOneOf('bits', bits, CODE_BITS);
  for (const [thing, size] of Object.entries({ outFeatures, inFeatures, groupSize })) {
    if (!Number.isSafeInteger(size) || size < 1) throw new ShapeError({ thing, found: size, expected: '1 or more' });
  }
  const groups = outFeatures * groupsPerRow(inFeatures, groupSize);
  checkLength('codes', codes, outFeatures * inFeatures);
  checkLength('scales', scales, groups);
  if (zeros) checkLength('zeros', zeros, groups);
  if (offsets) checkLength('offsets', offsets, groups);
  checkCodes('code', codes, bits);
  if (zeros) checkCodes('zero point', zeros, bits);
  if (zeros && offsets)
    throw new ShapeError({ thing: 'decode rule', found: 'zeros and offsets', expected: 'one of them' });
  if (offsets && offsets.constructor !== scales.constructor) {
    throw new ShapeError({ thing: 'offsets', found: offsets.constructor.name, expected: scales.constructor.name });
  }
  const rowBytes = packedRowBytes(inFeatures, bits);
  const packed = new Uint8Array(outFeatures * rowBytes);
  for (let n = 0; n < outFeatures; n++) {
    packCodes(codes.subarray(n * inFeatures, (n + 1) * inFeatures), bits, packed, n * rowBytes);
  }
  return {
    kind: 'packed',
    bits,
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
export function unpackCodes({ bits, outFeatures, inFeatures, rowBytes, codes }: PackedStorage): Uint8Array {
  const unpacked = new Uint8Array(outFeatures * inFeatures);
  for (let n = 0; n < outFeatures; n++) {
    unpackRow(codes, n * rowBytes, bits, unpacked.subarray(n * inFeatures, (n + 1) * inFeatures));
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
