import type { CodeBits } from './storage.js';

/*
 * Where the numbers of a packed matrix are in compute layout 3. Outputs are taken in panels of 16, so that a register of
 * a kernel holds several outputs, and sums never run across its lanes; outputs that fill up the last panel are 0.
 *
 * Scales, zeros and offsets are [panels, groups, 16].
 *
 * Codes are [panels, blocks of 32 inputs, lines of 64 bytes]. A code is one or two planes of 1, 2 or 4 bits, the lowest
 * first; a block has the lines of its low plane and then those of its high one. Inputs are taken in quads of four: byte
 * 4n + i of a line holds input i of a quad of output n, and the line of a plane of p bits has 8/p quads, the first in
 * the lowest p bits of its bytes. So codes of 4 bits have quads 2l and 2l + 1 in the low and high nibbles of line l.
 * Inputs that fill up the last block have codes of 0.
 */

/** Outputs of a panel. */
export const PANEL = 16;

/** Inputs of a block of codes. */
export const BLOCK = 32;

const LINE_BYTES = 64;
const QUAD = 4;

/** Bits of each plane of a code. */
const PLANES: Readonly<Record<CodeBits, readonly number[]>> = {
  2: [2],
  3: [2, 1],
  4: [4],
  5: [4, 1],
  6: [4, 2],
  8: [4, 4],
};

export const CODE_BITS: readonly CodeBits[] = [2, 3, 4, 5, 6, 8];

/** The zero point of matrices that store none. */
export const middleZero = (bits: CodeBits): number => 2 ** (bits - 1);

const panelsOf = (outFeatures: number): number => Math.ceil(outFeatures / PANEL);

/** Bytes of a panel's block of codes: a line for each bit. */
const blockBytes = (bits: CodeBits): number => LINE_BYTES * bits;

/** Bytes of a panel of codes. */
const panelBytes = (inFeatures: number, bits: CodeBits): number => Math.ceil(inFeatures / BLOCK) * blockBytes(bits);

/** Bytes of all codes of a matrix. */
export const packedBytes = (outFeatures: number, inFeatures: number, bits: CodeBits): number =>
  panelsOf(outFeatures) * panelBytes(inFeatures, bits);

/** The first byte of output n's codes; in each line it has four, 64 bytes from those of the line before. */
export const outputStart = (n: number, inFeatures: number, bits: CodeBits): number =>
  Math.floor(n / PANEL) * panelBytes(inFeatures, bits) + QUAD * (n % PANEL);

/** Elements of `scales`, and of `zeros` or `offsets` where there are any. */
export const groupSlots = (outFeatures: number, groups: number): number => panelsOf(outFeatures) * groups * PANEL;

/** The element of output n's group g among `groups` of a row. */
export const groupSlot = (n: number, g: number, groups: number): number => (Math.floor(n / PANEL) * groups + g) * PANEL + (n % PANEL);

/**
 * Calls `visit` for each quad of output n, plane by plane: with the first of its four bytes, how far up in them its bits
 * are, a mask of four bytes, and how far up in a code they belong.
 */
function eachQuad(
  n: number,
  inFeatures: number,
  bits: CodeBits,
  visit: (quad: number, byte: number, shift: number, mask: number, below: number) => void,
): void {
  const quads = Math.ceil(inFeatures / QUAD);
  let start = outputStart(n, inFeatures, bits);
  let below = 0;
  for (const planeBits of PLANES[bits]) {
    const mask = 0x01010101 * ((1 << planeBits) - 1);
    for (let quad = 0, block = start; quad < quads; block += blockBytes(bits)) {
      for (let bit = 0; bit < 8 * planeBits && quad < quads; bit += planeBits, quad++) {
        visit(quad, block + LINE_BYTES * (bit >> 3), bit & 7, mask, below);
      }
    }
    start += LINE_BYTES * planeBits;
    below += planeBits;
  }
}

/** Packs the codes of output n, a code per byte, into a matrix's codes, where zeros are. */
export function packRow(row: Uint8Array, bits: CodeBits, codes: Uint8Array, n: number): void {
  const quads = new Int32Array(Math.ceil(row.length / QUAD));
  new Uint8Array(quads.buffer).set(row);
  const words = new DataView(codes.buffer, codes.byteOffset, codes.byteLength);
  eachQuad(n, row.length, bits, (quad, byte, shift, mask, below) => {
    words.setInt32(byte, words.getInt32(byte, true) | (((quads[quad] >>> below) & mask) << shift), true);
  });
}

/** Unpacks the codes of output n, a code per byte of `row` [inFeatures]. */
export function unpackRow(codes: Uint8Array, bits: CodeBits, n: number, row: Uint8Array): void {
  const quads = new Int32Array(Math.ceil(row.length / QUAD));
  const words = new DataView(codes.buffer, codes.byteOffset, codes.byteLength);
  eachQuad(n, row.length, bits, (quad, byte, shift, mask, below) => {
    quads[quad] |= ((words.getInt32(byte, true) >>> shift) & mask) << below;
  });
  row.set(new Uint8Array(quads.buffer, 0, row.length));
}

/** Values [outFeatures, groups] in the order of panels. */
export function panelOrder<T extends Uint8Array | Uint16Array | Float32Array>(values: T, outFeatures: number, groups: number): T {
  const ordered = new (values.constructor as new (length: number) => T)(groupSlots(outFeatures, groups));
  for (let n = 0; n < outFeatures; n++) {
    const start = groupSlot(n, 0, groups);
    for (let g = 0; g < groups; g++) ordered[start + g * PANEL] = values[n * groups + g];
  }
  return ordered;
}
