import { f16ToF32 } from '../base/float16.js';
import type { CodeBits } from '../matrix/storage.js';
import type { GgmlTypeName } from './ggml-types.js';

/*
 * From ggml's blocks (ggml-common.h, ggml-quants.c) to the planes of compute layout 2. Blocks are read as 16-bit words,
 * of which all have a whole number, and planes are written as such. ggml keeps in one byte codes that are 16 or 32
 * apart; the planes keep neighbours there. So 4 bytes of a file, a code's bits at one place in each, make 2 bytes of a
 * plane: those of the even bytes below those of the odd ones.
 */

/** Where a row of a matrix goes. */
export interface RowTarget {
  /** Two bytes each. */
  readonly codes: Uint16Array;
  /** Where the row's codes begin. */
  codeAt: number;
  readonly scales: Uint16Array | Float32Array;
  /** Empty where the format has none. */
  readonly offsets: Uint16Array | Float32Array;
  /** Of the row's first group. */
  groupAt: number;
}

/** Types whose blocks become codes; the others are dense. */
export type BlockTypeName = Exclude<GgmlTypeName, 'F32' | 'F16' | 'BF16'>;

/** How a type of blocks is kept in memory. */
export interface BlockFormat {
  readonly bits: CodeBits;
  readonly groupSize: number;
  /** As exact as in the file: f16 of one level, f32 the product of two. */
  readonly scales: 'f16' | 'f32';
  readonly hasOffsets: boolean;
  /** Decodes `blocks` blocks from word `at` on; gives the first block whose scale is not finite, or −1. */
  readonly repackRow: (words: Uint16Array, at: number, blocks: number, row: RowTarget) => number;
}

/**
 * Types of one level keep their float16 scales, and take in memory what they take in the file. Those of two levels, a
 * float16 times a small whole number, get float32 scales, which hold that product exactly: per weight, Q4_K takes 6
 * bits in memory (4.5 in the file), Q5_K 7 (5.5) and Q6_K 8 (6.56).
 */
export const BLOCK_FORMATS: Readonly<Record<BlockTypeName, BlockFormat>> = {
  Q4_0: { bits: 4, groupSize: 32, scales: 'f16', hasOffsets: false, repackRow: repackQ4 },
  Q4_1: { bits: 4, groupSize: 32, scales: 'f16', hasOffsets: true, repackRow: repackQ4 },
  Q8_0: { bits: 8, groupSize: 32, scales: 'f16', hasOffsets: false, repackRow: repackQ8 },
  Q4_K: { bits: 4, groupSize: 32, scales: 'f32', hasOffsets: true, repackRow: repackQ4K },
  Q5_K: { bits: 5, groupSize: 32, scales: 'f32', hasOffsets: true, repackRow: repackQ5K },
  Q6_K: { bits: 6, groupSize: 16, scales: 'f32', hasOffsets: false, repackRow: repackQ6K },
};

/** The exponent of a float16 that is infinite or no number. */
const NOT_FINITE = 0x7c00;

const isNotFinite = (half: number): boolean => (half & NOT_FINITE) === NOT_FINITE;

/** Two 16-bit words as four bytes. */
const fourBytes = (words: Uint16Array, at: number): number => words[at] | (words[at + 1] << 16);

/** Bits 0–7 and 16–23 side by side, as the lower 16 of the result. */
const together = (bytes: number): number => bytes | (bytes >>> 8);

/** The nibbles of the even bytes below those of the odd ones: two bytes, from nibbles `shift` bits up. */
const nibbles = (bytes: number, shift: number): number =>
  together(((bytes >>> shift) & 0x0f000f) | (((bytes >>> (shift + 8)) & 0x0f000f) << 4));

/** Q4_0: d, 16 bytes of codes; x = d·(q − 8). Q4_1: d, m, codes; x = d·q + m. The 16 high nibbles come second. */
function repackQ4(words: Uint16Array, at: number, blocks: number, row: RowTarget): number {
  const { codes, scales, offsets } = row;
  let { codeAt, groupAt } = row;
  for (let block = 0; block < blocks; block++) {
    const scale = words[at++];
    if (isNotFinite(scale)) return block;
    scales[groupAt] = scale;
    if (offsets.length > 0) {
      const offset = words[at++];
      if (isNotFinite(offset)) return block;
      offsets[groupAt] = offset;
    }
    groupAt++;
    for (let j = 0; j < 4; j++, at += 2) {
      const bytes = fourBytes(words, at);
      codes[codeAt + j] = nibbles(bytes, 0);
      codes[codeAt + 4 + j] = nibbles(bytes, 4);
    }
    codeAt += 8;
  }
  return -1;
}

/** Q8_0: d, 32 signed codes; x = d·q. As unsigned codes q + 128, whose sign bit is turned. */
function repackQ8(words: Uint16Array, at: number, blocks: number, row: RowTarget): number {
  const { codes, scales } = row;
  let { codeAt, groupAt } = row;
  for (let block = 0; block < blocks; block++) {
    const scale = words[at++];
    if (isNotFinite(scale)) return block;
    scales[groupAt++] = scale;
    for (let j = 0; j < 8; j++, at += 2) {
      const bytes = fourBytes(words, at) ^ 0x80808080;
      codes[codeAt + j] = together(bytes & 0xff00ff);
      codes[codeAt + 8 + j] = together((bytes >>> 8) & 0xff00ff);
    }
    codeAt += 16;
  }
  return -1;
}

/** Q4_K: d, dmin, scales and minima of 6 bits, and 4 chunks of 32 bytes: 32 low nibbles, then 32 high ones. */
function repackQ4K(words: Uint16Array, at: number, blocks: number, row: RowTarget): number {
  let { codeAt } = row;
  for (let block = 0; block < blocks; block++) {
    if (!repackScales(words, at, row, row.groupAt + 8 * block)) return block;
    at += 8;
    repackNibbles(words, at, row.codes, codeAt);
    at += 64;
    codeAt += 64;
  }
  return -1;
}

/** Q5_K: as Q4_K, and before the nibbles 32 bytes whose bit i is the fifth of the codes of sub-block i. */
function repackQ5K(words: Uint16Array, at: number, blocks: number, row: RowTarget): number {
  const { codes } = row;
  let { codeAt } = row;
  let highAt = codeAt + 64 * blocks; // the plane of one bit follows that of four
  for (let block = 0; block < blocks; block++) {
    if (!repackScales(words, at, row, row.groupAt + 8 * block)) return block;
    at += 8;
    for (let j = 0; j < 8; j++, at += 2) {
      const bytes = fourBytes(words, at);
      codes[highAt + j] = together((bytes & 0x550055) | (((bytes >>> 8) & 0x550055) << 1));
      codes[highAt + 8 + j] = together(((bytes >>> 1) & 0x550055) | ((bytes >>> 8) & 0xaa00aa));
    }
    highAt += 16;
    repackNibbles(words, at, codes, codeAt);
    at += 64;
    codeAt += 64;
  }
  return -1;
}

/** Nibbles of 256 codes: of each 32 bytes, the low ones are 32 codes and the high ones the next 32. */
function repackNibbles(words: Uint16Array, at: number, codes: Uint16Array, codeAt: number): void {
  for (let chunk = 0; chunk < 4; chunk++) {
    for (let j = 0; j < 8; j++, at += 2) {
      const bytes = fourBytes(words, at);
      codes[codeAt + j] = nibbles(bytes, 0);
      codes[codeAt + 8 + j] = nibbles(bytes, 4);
    }
    codeAt += 16;
  }
}

/**
 * d, dmin and 8 pairs (sc, m) of 6 bits in 12 bytes, of Q4_K and Q5_K: x = d·sc·q − dmin·m. For j < 4, sc_j and m_j are
 * the low 6 bits of bytes j and j + 4, whose high 2 bits are those of sc_(j+4) and m_(j+4) above a nibble each of byte
 * j + 8.
 */
function repackScales(words: Uint16Array, at: number, { scales, offsets }: RowTarget, groupAt: number): boolean {
  if (isNotFinite(words[at]) || isNotFinite(words[at + 1])) return false;
  const d = f16ToF32(words[at]);
  const dmin = f16ToF32(words[at + 1]);
  for (let j = 0; j < 4; j++) {
    const odd = 8 * (j & 1);
    const low = (words[at + 2 + (j >> 1)] >> odd) & 0xff;
    const middle = (words[at + 4 + (j >> 1)] >> odd) & 0xff;
    const high = (words[at + 6 + (j >> 1)] >> odd) & 0xff;
    scales[groupAt + j] = d * (low & 63);
    scales[groupAt + 4 + j] = d * ((high & 15) | ((low >> 6) << 4));
    offsets[groupAt + j] = -(dmin * (middle & 63));
    offsets[groupAt + 4 + j] = -(dmin * ((high >> 4) | ((middle >> 6) << 4)));
  }
  return true;
}

/**
 * Q6_K: 128 bytes of low nibbles, 64 bytes of 2 high bits, 16 signed scales, d; x = d·sc·(q − 32). For each 128 codes:
 * 64 bytes, whose low nibbles are the first 64 codes and the high ones the others; 32 bytes whose bit pairs, from the
 * lowest, belong to the 4 runs of 32.
 */
function repackQ6K(words: Uint16Array, at: number, blocks: number, row: RowTarget): number {
  const { codes, scales } = row;
  let { codeAt, groupAt } = row;
  let highAt = codeAt + 64 * blocks; // the plane of two bits follows that of four
  for (let block = 0; block < blocks; block++) {
    if (isNotFinite(words[at + 104])) return block;
    const d = f16ToF32(words[at + 104]);
    for (let half = 0; half < 2; half++) {
      for (let j = 0; j < 16; j++) {
        const bytes = fourBytes(words, at + 32 * half + 2 * j);
        codes[codeAt + j] = nibbles(bytes, 0);
        codes[codeAt + 16 + j] = nibbles(bytes, 4);
      }
      codeAt += 32;
      for (let j = 0; j < 8; j++) {
        const bytes = fourBytes(words, at + 64 + 16 * half + 2 * j);
        codes[highAt + j] = together((bytes & 0x330033) | (((bytes >>> 8) & 0x330033) << 2));
        codes[highAt + 8 + j] = together(((bytes >>> 2) & 0x330033) | ((bytes >>> 8) & 0xcc00cc));
      }
      highAt += 16;
    }
    for (let j = 0; j < 16; j++) {
      const word = words[at + 96 + (j >> 1)];
      scales[groupAt++] = d * ((word << (j & 1 ? 16 : 24)) >> 24);
    }
    at += 105;
  }
  return -1;
}
