import type { CodeBits } from './storage.js';

/*
 * Where the bits of codes are in compute layout 2. A row of codes is one or two planes, the lowest bits first. A plane of
 * p bits is made of blocks of 32 bytes. Codes are taken in runs of 64 whose even codes and whose odd codes lie at the
 * same shift, one to a byte: byte j of a block holds codes 2j and 2j + 1 of each of the block's 4/p runs. So a block's
 * bytes, shifted and masked, are the 32 even or the 32 odd codes of a run, whatever p is, and kernels multiply them with
 * activations in that order. A plane of 8 bits holds, for every 32 codes, the 16 even ones and then the 16 odd ones.
 */

/** Bits of each plane of a row. */
export const PLANES: Readonly<Record<CodeBits, readonly number[]>> = {
  2: [2],
  3: [2, 1],
  4: [4],
  5: [4, 1],
  6: [4, 2],
  8: [8],
};

export const CODE_BITS: readonly CodeBits[] = [2, 3, 4, 5, 6, 8];

/** The zero point of matrices that store none. */
export const middleZero = (bits: CodeBits): number => 2 ** (bits - 1);

/** Bytes of one plane of a row: whole blocks, the last one cut to 16 bytes where they hold all that is left. */
export function planeBytes(inFeatures: number, planeBits: number): number {
  if (planeBits === 8) return Math.ceil(inFeatures / 32) * 32;
  const codes = 64 * (4 / planeBits);
  const rest = inFeatures % codes;
  return Math.floor(inFeatures / codes) * 32 + (rest === 0 ? 0 : rest <= 32 ? 16 : 32);
}

/** Bytes of one row of codes. */
export const packedRowBytes = (inFeatures: number, bits: CodeBits): number =>
  PLANES[bits].reduce((sum, planeBits) => sum + planeBytes(inFeatures, planeBits), 0);

/** The byte of code k within its plane. */
const byteOf = (k: number, planeBits: number): number =>
  planeBits === 8 ? (k & ~31) | ((k & 1) << 4) | ((k & 31) >> 1) : Math.floor((k * planeBits) / 256) * 32 + ((k & 63) >> 1);

/** How far up in its byte code k of a plane is. */
const shiftOf = (k: number, planeBits: number): number =>
  planeBits === 8 ? 0 : planeBits * (2 * ((k >> 6) % (4 / planeBits)) + (k & 1));

/** Packs one row of codes, a code per byte, into `to` from byte `at` on, where zeros are. */
export function packCodes(row: Uint8Array, bits: CodeBits, to: Uint8Array, at: number): void {
  let below = 0;
  for (const planeBits of PLANES[bits]) {
    const mask = (1 << planeBits) - 1;
    for (let k = 0; k < row.length; k++) {
      to[at + byteOf(k, planeBits)] |= ((row[k] >> below) & mask) << shiftOf(k, planeBits);
    }
    at += planeBytes(row.length, planeBits);
    below += planeBits;
  }
}

/** Unpacks the row of codes that starts at byte `at`, a code per byte of `row`. */
export function unpackRow(codes: Uint8Array, at: number, bits: CodeBits, row: Uint8Array): void {
  row.fill(0);
  let below = 0;
  for (const planeBits of PLANES[bits]) {
    const mask = (1 << planeBits) - 1;
    for (let k = 0; k < row.length; k++) {
      row[k] |= ((codes[at + byteOf(k, planeBits)] >> shiftOf(k, planeBits)) & mask) << below;
    }
    at += planeBytes(row.length, planeBits);
    below += planeBits;
  }
}
