import { f16ToF32 } from '../base/float16.js';
import { PANEL } from '../matrix/panels.js';
import type { CodeBits } from '../matrix/storage.js';
import type { GgmlTypeName } from './ggml-types.js';
import { highNibbles, lowNibbles } from './nibbles.js';

/*
 * From ggml's blocks (ggml-common.h, ggml-quants.c) to the lines of compute layout 3. Four bytes of a block hold bits of
 * a quad of codes, at one place in each; and so does an output's word of a line, of as many quads as its bytes have room
 * for. So words are masked, shifted and put together whole. Blocks start at any even byte.
 */

/** Where a row of a matrix goes: to one of the 16 outputs of a panel. */
export interface RowTarget {
  /** Four bytes each: the share of an output in a line. */
  readonly codes: Uint32Array;
  /** The row's word of its panel's first line. */
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
  /** Decodes `blocks` blocks from byte `at` on; gives the first block whose scale is not finite, or −1. */
  readonly repackRow: (bytes: DataView, at: number, blocks: number, row: RowTarget) => number;
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

/** From a row's word of one line to that of the next, and from one of its groups to the next. */
const NEXT = PANEL;

/** Two quads of codes, whose low nibbles and high nibbles go to lines of their own. */
function repackQuads(bytes: DataView, at: number, codes: Uint32Array, lowAt: number, highAt: number): void {
  const first = bytes.getInt32(at, true);
  const second = bytes.getInt32(at + 4, true);
  codes[lowAt] = lowNibbles(first, second);
  codes[highAt] = highNibbles(first, second);
}

/** 32 bytes, whose low nibbles are all codes of one block of a panel and the high ones those of another. */
function repackNibbles(bytes: DataView, at: number, codes: Uint32Array, lowAt: number, highAt: number): void {
  for (let line = 0; line < 4; line++) {
    repackQuads(bytes, at + 8 * line, codes, lowAt + line * NEXT, highAt + line * NEXT);
  }
}

/** Q4_0: d, 16 bytes of codes; x = d·(q − 8). Q4_1: d, m, codes; x = d·q + m. The 16 high nibbles come second. */
function repackQ4(bytes: DataView, at: number, blocks: number, row: RowTarget): number {
  const { codes, scales, offsets } = row;
  let { codeAt, groupAt } = row;
  for (let block = 0; block < blocks; block++) {
    const scale = bytes.getUint16(at, true);
    if (isNotFinite(scale)) return block;
    scales[groupAt] = scale;
    at += 2;
    if (offsets.length > 0) {
      const offset = bytes.getUint16(at, true);
      if (isNotFinite(offset)) return block;
      offsets[groupAt] = offset;
      at += 2;
    }
    repackQuads(bytes, at, codes, codeAt, codeAt + 2 * NEXT);
    repackQuads(bytes, at + 8, codes, codeAt + NEXT, codeAt + 3 * NEXT);
    at += 16;
    groupAt += NEXT;
    codeAt += 4 * NEXT;
  }
  return -1;
}

/** Q8_0: d, 32 signed codes; x = d·q. As unsigned codes q + 128, whose sign bit is turned. */
function repackQ8(bytes: DataView, at: number, blocks: number, row: RowTarget): number {
  const { codes, scales } = row;
  let { codeAt, groupAt } = row;
  for (let block = 0; block < blocks; block++) {
    const scale = bytes.getUint16(at, true);
    if (isNotFinite(scale)) return block;
    scales[groupAt] = scale;
    at += 2;
    for (let line = 0; line < 4; line++) {
      const first = bytes.getInt32(at + 8 * line, true) ^ 0x80808080;
      const second = bytes.getInt32(at + 8 * line + 4, true) ^ 0x80808080;
      codes[codeAt + line * NEXT] = lowNibbles(first, second);
      codes[codeAt + (4 + line) * NEXT] = highNibbles(first, second);
    }
    at += 32;
    groupAt += NEXT;
    codeAt += 8 * NEXT;
  }
  return -1;
}

/** Q4_K: d, dmin, scales and minima of 6 bits, and 4 chunks of 32 bytes: 32 low nibbles, then 32 high ones. */
function repackQ4K(bytes: DataView, at: number, blocks: number, row: RowTarget): number {
  let { codeAt, groupAt } = row;
  for (let block = 0; block < blocks; block++) {
    if (!repackScales(bytes, at, row, groupAt)) return block;
    for (let chunk = 0; chunk < 4; chunk++) {
      repackNibbles(bytes, at + 16 + 32 * chunk, row.codes, codeAt, codeAt + 4 * NEXT);
      codeAt += 8 * NEXT;
    }
    at += 144;
    groupAt += 8 * NEXT;
  }
  return -1;
}

/** Q5_K: as Q4_K, and before the nibbles 32 bytes whose bit i is the fifth of the codes of sub-block i. */
function repackQ5K(bytes: DataView, at: number, blocks: number, row: RowTarget): number {
  const { codes } = row;
  let { codeAt, groupAt } = row;
  for (let block = 0; block < blocks; block++) {
    if (!repackScales(bytes, at, row, groupAt)) return block;
    repackBits(bytes, at + 16, codes, codeAt + 4 * NEXT, 5 * NEXT);
    for (let chunk = 0; chunk < 4; chunk++) {
      repackNibbles(bytes, at + 48 + 32 * chunk, codes, codeAt, codeAt + 5 * NEXT);
      codeAt += 10 * NEXT;
    }
    at += 176;
    groupAt += 8 * NEXT;
  }
  return -1;
}

/** 8 quads of bytes, whose bits i are the line `step` words after that of bits i − 1. */
function repackBits(bytes: DataView, at: number, codes: Uint32Array, lineAt: number, step: number): void {
  const q0 = bytes.getInt32(at, true);
  const q1 = bytes.getInt32(at + 4, true);
  const q2 = bytes.getInt32(at + 8, true);
  const q3 = bytes.getInt32(at + 12, true);
  const q4 = bytes.getInt32(at + 16, true);
  const q5 = bytes.getInt32(at + 20, true);
  const q6 = bytes.getInt32(at + 24, true);
  const q7 = bytes.getInt32(at + 28, true);
  for (let i = 0; i < 8; i++, lineAt += step) {
    const low = bitOf(q0, i) | (bitOf(q1, i) << 1) | (bitOf(q2, i) << 2) | (bitOf(q3, i) << 3);
    const high = bitOf(q4, i) | (bitOf(q5, i) << 1) | (bitOf(q6, i) << 2) | (bitOf(q7, i) << 3);
    codes[lineAt] = low | (high << 4);
  }
}

const bitOf = (quad: number, i: number): number => (quad >>> i) & 0x01010101;

/**
 * d, dmin and 8 pairs (sc, m) of 6 bits in 12 bytes, of Q4_K and Q5_K: x = d·sc·q − dmin·m. For j < 4, sc_j and m_j are
 * the low 6 bits of bytes j and j + 4, whose high 2 bits are those of sc_(j+4) and m_(j+4) above a nibble each of byte
 * j + 8.
 */
function repackScales(bytes: DataView, at: number, { scales, offsets }: RowTarget, groupAt: number): boolean {
  const d16 = bytes.getUint16(at, true);
  const dmin16 = bytes.getUint16(at + 2, true);
  if (isNotFinite(d16) || isNotFinite(dmin16)) return false;
  const d = f16ToF32(d16);
  const dmin = f16ToF32(dmin16);
  for (let j = 0; j < 4; j++, groupAt += NEXT) {
    const low = bytes.getUint8(at + 4 + j);
    const middle = bytes.getUint8(at + 8 + j);
    const high = bytes.getUint8(at + 12 + j);
    scales[groupAt] = d * (low & 63);
    scales[groupAt + 4 * NEXT] = d * ((high & 15) | ((low >> 6) << 4));
    offsets[groupAt] = -(dmin * (middle & 63));
    offsets[groupAt + 4 * NEXT] = -(dmin * ((high >> 4) | ((middle >> 6) << 4)));
  }
  return true;
}

/**
 * Q6_K: 128 bytes of low nibbles, 64 bytes of 2 high bits, 16 signed scales, d; x = d·sc·(q − 32). For each 128 codes:
 * 64 bytes, whose low nibbles are the first 64 codes and the high ones the others; 32 bytes whose bit pairs, from the
 * lowest, belong to the 4 runs of 32.
 */
function repackQ6K(bytes: DataView, at: number, blocks: number, row: RowTarget): number {
  const { codes, scales } = row;
  let { codeAt, groupAt } = row;
  for (let block = 0; block < blocks; block++) {
    const d16 = bytes.getUint16(at + 208, true);
    if (isNotFinite(d16)) return block;
    const d = f16ToF32(d16);
    for (let half = 0; half < 2; half++) {
      const lowAt = at + 64 * half;
      const highAt = at + 128 + 32 * half;
      repackNibbles(bytes, lowAt, codes, codeAt, codeAt + 12 * NEXT);
      repackNibbles(bytes, lowAt + 32, codes, codeAt + 6 * NEXT, codeAt + 18 * NEXT);
      repackPairs(bytes, highAt, codes, codeAt + 4 * NEXT, 6 * NEXT);
      repackPairs(bytes, highAt + 16, codes, codeAt + 5 * NEXT, 6 * NEXT);
      codeAt += 24 * NEXT;
    }
    for (let j = 0; j < 16; j++, groupAt += NEXT) scales[groupAt] = d * bytes.getInt8(at + 192 + j);
    at += 210;
  }
  return -1;
}

/** 4 quads of bytes, whose bit pairs i are the line `step` words after that of pairs i − 1. */
function repackPairs(bytes: DataView, at: number, codes: Uint32Array, lineAt: number, step: number): void {
  const q0 = bytes.getInt32(at, true);
  const q1 = bytes.getInt32(at + 4, true);
  const q2 = bytes.getInt32(at + 8, true);
  const q3 = bytes.getInt32(at + 12, true);
  for (let i = 0; i < 4; i++, lineAt += step) {
    codes[lineAt] = pairOf(q0, i) | (pairOf(q1, i) << 2) | (pairOf(q2, i) << 4) | (pairOf(q3, i) << 6);
  }
}

const pairOf = (quad: number, i: number): number => (quad >>> (2 * i)) & 0x03030303;
