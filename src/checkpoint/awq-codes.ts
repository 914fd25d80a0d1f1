import type { Breathe } from '../base/event-loop.js';
import { groupSlot, groupSlots, outputStart, packedBytes, PANEL } from '../matrix/panels.js';
import { weightBytes } from '../native/weight-memory.js';
import { highNibbles, lowNibbles } from './nibbles.js';

/** In which nibble of a word of the GEMM layout its t-th column is. */
export const GEMM_NIBBLE = [0, 4, 1, 5, 2, 6, 3, 7] as const;

const ROWS_PER_BREATH = 16;

/** Calls `visit` for every row, with a breath now and then. */
export async function eachRow(rows: number, breathe: Breathe, visit: (row: number) => void): Promise<void> {
  for (let row = 0; row < rows; row++) {
    if (row % ROWS_PER_BREATH === 0) await breathe();
    visit(row);
  }
}

/** Room for the codes of a matrix; `lines` are the same, four bytes each: 8 inputs of one output. */
function roomForCodes(n: number, k: number): { codes: Uint8Array; lines: Uint32Array } {
  const codes = weightBytes(packedBytes(n, k, 4));
  return { codes, lines: new Uint32Array(codes.buffer, codes.byteOffset, codes.length / 4) };
}

/** Inputs and words of a tile of `gemmCodes`: a cache line of each row read, and whole ones of each panel written. */
const [TILE_INPUTS, TILE_WORDS] = [64, 16];

/** From [K, N/8]: nibble `GEMM_NIBBLE[t]` of word c is column n = 8c + t. */
export async function gemmCodes(words: Int32Array, n: number, k: number, breathe: Breathe): Promise<Uint8Array> {
  const { codes, lines } = roomForCodes(n, k);
  for (let k0 = 0; k0 < k; k0 += TILE_INPUTS) {
    for (let c0 = 0; c0 < n / 8; c0 += TILE_WORDS) {
      gemmTile(words, n, k, k0, c0, lines);
      await breathe();
    }
  }
  return codes;
}

function gemmTile(words: Int32Array, n: number, k: number, k0: number, c0: number, lines: Uint32Array): void {
  const columns = n / 8;
  const kEnd = Math.min(k0 + TILE_INPUTS, k);
  const cEnd = Math.min(c0 + TILE_WORDS, columns);
  for (let i = k0; i < kEnd; i += 8) {
    for (let c = c0; c < cEnd; c++) {
      const at = outputStart(8 * c, k, 4) / 4 + (i / 8) * PANEL;
      gemmLine(words, i * columns + c, columns, Math.min(8, k - i), lines, at);
    }
  }
}

/** Eight outputs of a line, from one word of each of the line's inputs, of which a last line may have fewer than 8. */
function gemmLine(words: Int32Array, from: number, step: number, inputs: number, lines: Uint32Array, at: number): void {
  const word = (input: number): number => (input < inputs ? words[from + input * step] : 0);
  const [a0, a1, a2, a3] = [word(0), word(1), word(2), word(3)];
  const [a4, a5, a6, a7] = [word(4), word(5), word(6), word(7)];
  // bytes of outputs 0, 4, 1, 5, and those of 2, 6, 3, 7
  gemmQuads(lowNibbles(a0, a4), lowNibbles(a1, a5), lowNibbles(a2, a6), lowNibbles(a3, a7), lines, at);
  gemmQuads(highNibbles(a0, a4), highNibbles(a1, a5), highNibbles(a2, a6), highNibbles(a3, a7), lines, at + 2);
}

/** Four bytes of four outputs, transposed. */
function gemmQuads(b0: number, b1: number, b2: number, b3: number, lines: Uint32Array, at: number): void {
  const even01 = (b0 & 0x00ff00ff) | ((b1 & 0x00ff00ff) << 8);
  const even23 = (b2 & 0x00ff00ff) | ((b3 & 0x00ff00ff) << 8);
  const odd01 = ((b0 >>> 8) & 0x00ff00ff) | (b1 & 0xff00ff00);
  const odd23 = ((b2 >>> 8) & 0x00ff00ff) | (b3 & 0xff00ff00);
  lines[at] = (even01 & 0xffff) | (even23 << 16);
  lines[at + 1] = (even01 >>> 16) | (even23 & 0xffff0000);
  lines[at + 4] = (odd01 & 0xffff) | (odd23 << 16);
  lines[at + 5] = (odd01 >>> 16) | (odd23 & 0xffff0000);
}

/** From [groups, N/8], nibbles as in `gemmCodes`, to the zero points of compute layout 3. */
export async function gemmZeros(words: Int32Array, n: number, groups: number, breathe: Breathe): Promise<Uint8Array> {
  const zeros = weightBytes(groupSlots(n, groups));
  await eachRow(n, breathe, (row) => {
    const shift = 4 * GEMM_NIBBLE[row % 8];
    let slot = groupSlot(row, 0, groups);
    for (let at = row >> 3; at < words.length; at += n / 8, slot += PANEL) zeros[slot] = (words[at] >>> shift) & 15;
  });
  return zeros;
}

/** From [N, K/8]: nibble j of word w is input 8w + j. */
export async function gemvCodes(words: Int32Array, n: number, k: number, breathe: Breathe): Promise<Uint8Array> {
  const { codes, lines } = roomForCodes(n, k);
  await eachRow(n, breathe, (row) => {
    const end = (row + 1) * (k / 8);
    let at = outputStart(row, k, 4) / 4;
    for (let i = row * (k / 8); i < end; i++, at += PANEL) lines[at] = lowNibbles(spread(words[i]), spread(words[i] >>> 16));
  });
  return codes;
}

/** The low four nibbles of a word, one to a byte. */
function spread(word: number): number {
  const pairs = (word & 0x00ff) | ((word & 0xff00) << 8);
  return (pairs & 0x000f000f) | ((pairs & 0x00f000f0) << 4);
}

/** From [N, Z]: nibble j of word w is group 8w + j; groups past the last are padding. */
export async function gemvZeros(words: Int32Array, n: number, groups: number, breathe: Breathe): Promise<Uint8Array> {
  const wordsPerRow = words.length / n;
  const zeros = weightBytes(groupSlots(n, groups));
  await eachRow(n, breathe, (row) => {
    let slot = groupSlot(row, 0, groups);
    for (let g = 0; g < groups; g++, slot += PANEL) {
      zeros[slot] = (words[row * wordsPerRow + (g >> 3)] >>> (4 * (g & 7))) & 15;
    }
  });
  return zeros;
}

/**
 * From i16 [N/4, K]: row n = 4a + i keeps 64 inputs of block c at nibbles f = 64·i + p of elements [a, 64·c …], where
 * within each half of 32 the input t is at p = 8·⌊(t mod 8) / 2⌋ + 4·(t mod 2) + ⌊t / 8⌋. So the 8 inputs of line l, in
 * their order, are nibbles l of the 8 elements of a half.
 */
export async function gemvFastCodes(words: Int16Array, n: number, k: number, breathe: Breathe): Promise<Uint8Array> {
  const { codes, lines } = roomForCodes(n, k);
  await eachRow(n, breathe, (row) => {
    let at = outputStart(row, k, 4) / 4;
    for (let half = 0; half < k / 32; half++) {
      const from = (row >> 2) * k + 64 * (half >> 1) + 16 * (row & 3) + 8 * (half & 1);
      const pair = (element: number): number => (words[from + element] & 0xffff) | (words[from + element + 2] << 16);
      const p02 = pair(0);
      const p13 = pair(1);
      const p46 = pair(4);
      const p57 = pair(5);
      for (let shift = 0; shift < 16; shift += 4, at += PANEL) {
        lines[at] =
          ((p02 >>> shift) & 0x000f000f) |
          (((p46 >>> shift) & 0x000f000f) << 4) |
          (((p13 >>> shift) & 0x000f000f) << 8) |
          (((p57 >>> shift) & 0x000f000f) << 12);
      }
    }
  });
  return codes;
}
