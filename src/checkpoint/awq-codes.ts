import type { Breathe } from '../base/event-loop.js';
import { packedRowBytes } from '../matrix/planes.js';
import { weightBytes } from '../native/weight-memory.js';

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

/** Inputs and words of a tile of `gemmCodes`: a cache line of each row read, and half a line of each row written. */
const [TILE_INPUTS, TILE_WORDS] = [64, 16];

/** From [K, N/8]: nibble `GEMM_NIBBLE[t]` of word c is column n = 8c + t. */
export async function gemmCodes(words: ArrayLike<number>, n: number, k: number, breathe: Breathe): Promise<Uint8Array> {
  const codes = weightBytes(n * packedRowBytes(k, 4));
  for (let k0 = 0; k0 < k; k0 += TILE_INPUTS) {
    for (let c0 = 0; c0 < n / 8; c0 += TILE_WORDS) {
      gemmTile(words, n, k, k0, c0, codes);
      await breathe();
    }
  }
  return codes;
}

function gemmTile(words: ArrayLike<number>, n: number, k: number, k0: number, c0: number, codes: Uint8Array): void {
  const rowBytes = packedRowBytes(k, 4);
  const columns = n / 8;
  const kEnd = Math.min(k0 + TILE_INPUTS, k);
  const cEnd = Math.min(c0 + TILE_WORDS, columns);
  for (let c = c0; c < cEnd; c++) {
    for (let i = k0; i < kEnd; i += 2) {
      const even = words[i * columns + c];
      const odd = i + 1 < k ? words[(i + 1) * columns + c] : 0;
      const at = 8 * c * rowBytes + (i >> 1);
      for (let t = 0; t < 8; t++) {
        const shift = 4 * GEMM_NIBBLE[t];
        codes[at + t * rowBytes] = ((even >>> shift) & 15) | (((odd >>> shift) & 15) << 4);
      }
    }
  }
}

/** From [groups, N/8], nibbles as in `gemmCodes`, to [N, groups]. */
export async function gemmZeros(
  words: ArrayLike<number>,
  n: number,
  groups: number,
  breathe: Breathe,
): Promise<Uint8Array> {
  const zeros = weightBytes(n * groups);
  await eachRow(n, breathe, (row) => {
    const shift = 4 * GEMM_NIBBLE[row % 8];
    for (let g = 0; g < groups; g++) zeros[row * groups + g] = (words[g * (n / 8) + (row >> 3)] >>> shift) & 15;
  });
  return zeros;
}

/** From [N, K/8]: nibble j of word w is input 8w + j, which is the order of compute layout 2. */
export async function gemvCodes(
  words: Int32Array | Int16Array,
  n: number,
  k: number,
  breathe: Breathe,
): Promise<Uint8Array> {
  const stored = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  const rowBytes = packedRowBytes(k, 4);
  if (rowBytes === k / 2) return stored;
  const codes = weightBytes(n * rowBytes);
  await eachRow(n, breathe, (row) => {
    codes.set(stored.subarray(row * (k / 2), (row + 1) * (k / 2)), row * rowBytes);
  });
  return codes;
}

/** From [N, Z]: nibble j of word w is group 8w + j; groups past the last are padding. */
export async function gemvZeros(
  words: ArrayLike<number>,
  n: number,
  groups: number,
  breathe: Breathe,
): Promise<Uint8Array> {
  const wordsPerRow = words.length / n;
  const zeros = weightBytes(n * groups);
  await eachRow(n, breathe, (row) => {
    for (let g = 0; g < groups; g++) {
      zeros[row * groups + g] = (words[row * wordsPerRow + (g >> 3)] >>> (4 * (g & 7))) & 15;
    }
  });
  return zeros;
}

/**
 * From i16 [N/4, K]: row n = 4a + i keeps 64 inputs of block c at nibbles f = 64·i + p of elements [a, 64·c …], where
 * within each half of 32 the input t is at p = 8·⌊(t mod 8) / 2⌋ + 4·(t mod 2) + ⌊t / 8⌋.
 */
export async function gemvFastCodes(
  words: ArrayLike<number>,
  n: number,
  k: number,
  breathe: Breathe,
): Promise<Uint8Array> {
  const position = Array.from({ length: 64 }, (_, input) => {
    const t = input % 32;
    return input - t + 8 * Math.floor((t % 8) / 2) + 4 * (t % 2) + Math.floor(t / 8);
  });
  const rowBytes = packedRowBytes(k, 4);
  const codes = weightBytes(n * rowBytes);
  await eachRow(n, breathe, (row) => {
    const start = (row >> 2) * k;
    for (let input = 0; input < k; input++) {
      const f = 64 * (row & 3) + position[input % 64];
      const code = (words[start + (input - (input % 64)) + (f >> 2)] >>> (4 * (f & 3))) & 15;
      codes[row * rowBytes + (input >> 1)] |= code << (4 * (input & 1));
    }
  });
  return codes;
}
