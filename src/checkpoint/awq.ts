import { CheckpointError } from '../base/errors.js';
import { bf16ArrayToF32 } from '../base/float16.js';
import { groupsPerRow, packedRowBytes, type PackedStorage } from '../matrix/storage.js';
import type { Dtype, Elements } from './tensor-info.js';

/** A tensor of a packed linear layer, and where it is, for errors. */
export interface PackedPart {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** File and tensor. */
  readonly where: string;
  read(): Elements;
}

/** The tensors of a linear layer that AutoAWQ or llm-awq packed. */
export interface AwqParts {
  readonly qweight: PackedPart;
  readonly scales: PackedPart;
  /** Absent only in checkpoints without zero points. */
  readonly qzeros: PackedPart | null;
}

export interface AwqSizes {
  readonly outFeatures: number;
  readonly inFeatures: number;
  /** Infinity: one group per row. */
  readonly groupSize: number;
}

export type AwqLayout = 'gemm' | 'gemv' | 'gemv_fast';

/** In which nibble of a GEMM word its t-th column is. */
const GEMM_NIBBLE = [0, 4, 1, 5, 2, 6, 3, 7] as const;

/**
 * Tells the layout from shapes and dtypes, and checks all of them. With N outputs, K inputs, G groups a row:
 *
 * | | qweight | qzeros | scales |
 * |---|---|---|---|
 * | gemm | i32 [K, N/8] | i32 [G, N/8] | [G, N] |
 * | gemv | i32 [N, K/8] | i32 [N, Z] | [N, 8·Z], 8·Z ≥ G |
 * | gemv_fast | i16 [N/4, K] | float [8·Z, N] | [8·Z, N] |
 *
 * Where N = K the shapes of qweight do not tell; those of scales do. `version` in a config is not looked at, since it
 * is wrong in some files.
 * @throws CheckpointError
 */
export function awqLayout(
  { qweight, scales, qzeros }: AwqParts,
  { outFeatures, inFeatures, groupSize }: AwqSizes,
): AwqLayout {
  const [n, k] = [outFeatures, inFeatures];
  const groups = groupsPerRow(k, Math.min(groupSize, k));
  requireDtype(scales, ['F16', 'BF16', 'F32']);
  requireDtype(qweight, ['I32', 'I16']);
  if (qweight.dtype === 'I16') {
    if (n % 4 !== 0 || k % 64 !== 0)
      requireShape(qweight, 'out features a multiple of 4 and in features of 64', () => false);
    requireShape(qweight, `[${n / 4}, ${k}]`, (shape) => equal(shape, [n / 4, k]));
    requireShape(scales, `[${groups} or more, ${n}]`, ([rows, columns]) => rows >= groups && columns === n);
    if (!qzeros) throw missingZeros(qweight);
    requireDtype(qzeros, [scales.dtype]);
    requireShape(qzeros, `[${groups} or more, ${n}]`, ([rows, columns]) => rows >= groups && columns === n);
    return 'gemv_fast';
  }
  const isGemm = n % 8 === 0 && equal(qweight.shape, [k, n / 8]) && equal(scales.shape, [groups, n]);
  if (isGemm) {
    if (qzeros) {
      requireDtype(qzeros, ['I32']);
      requireShape(qzeros, `[${groups}, ${n / 8}]`, (shape) => equal(shape, [groups, n / 8]));
    }
    return 'gemm';
  }
  const shapes = [`[${k}, ${n / 8}] (gemm)`, `[${n}, ${k / 8}] (gemv)`].join(' or ');
  requireShape(qweight, shapes, (shape) => equal(shape, [n, k / 8]) || equal(shape, [k, n / 8]));
  const expected = `[${groups}, ${n}] (gemm) or [${n}, ${groups} or more] (gemv)`;
  requireShape(
    scales,
    expected,
    ([rows, columns]) => equal(qweight.shape, [n, k / 8]) && rows === n && columns >= groups,
  );
  if (qzeros) {
    requireDtype(qzeros, ['I32']);
    requireShape(
      qzeros,
      `[${n}, ${Math.ceil(groups / 8)} or more]`,
      ([rows, words]) => rows === n && 8 * words >= groups,
    );
  }
  return 'gemv';
}

/**
 * Codes, zero points, scales and offsets of an AWQ linear layer, exactly as its file has them, in compute layout 1.
 * Padding of zeros and scales is dropped; f16 scales stay f16, bfloat16 ones become float32.
 * @throws CheckpointError for shapes or dtypes that fit no layout, and scales or offsets that are not finite.
 */
export function unpackAwq(parts: AwqParts, sizes: AwqSizes): PackedStorage {
  const { outFeatures, inFeatures } = sizes;
  const layout = awqLayout(parts, sizes);
  const groupSize = Math.min(sizes.groupSize, inFeatures);
  const groups = groupsPerRow(inFeatures, groupSize);
  const words = (part: PackedPart) => part.read() as Int32Array | Int16Array;
  const shared = {
    kind: 'packed',
    bits: 4,
    outFeatures,
    inFeatures,
    groupSize,
    rowBytes: packedRowBytes(inFeatures),
  } as const;
  const perGroup = (part: PackedPart) =>
    layout === 'gemv' ? rowsOf(part, outFeatures, groups) : transposed(part, outFeatures, groups);
  const scales = perGroup(parts.scales);
  switch (layout) {
    case 'gemm': {
      const codes = gemmCodes(words(parts.qweight), outFeatures, inFeatures);
      const zeros = parts.qzeros && gemmZeros(words(parts.qzeros), outFeatures, groups);
      return { ...shared, codes, scales, zeros, offsets: null };
    }
    case 'gemv': {
      const codes = gemvCodes(words(parts.qweight), outFeatures, inFeatures);
      const zeros = parts.qzeros && gemvZeros(words(parts.qzeros), outFeatures, groups);
      return { ...shared, codes, scales, zeros, offsets: null };
    }
    case 'gemv_fast': {
      if (!parts.qzeros) throw missingZeros(parts.qweight);
      const codes = gemvFastCodes(words(parts.qweight), outFeatures, inFeatures);
      return { ...shared, codes, scales, zeros: null, offsets: perGroup(parts.qzeros) };
    }
  }
}

/** From [K, N/8]: nibble `GEMM_NIBBLE[t]` of word c is column n = 8c + t. */
function gemmCodes(words: ArrayLike<number>, n: number, k: number): Uint8Array {
  const rowBytes = packedRowBytes(k);
  const codes = new Uint8Array(n * rowBytes);
  const columns = n / 8;
  // Tiles of 16 words by 64 inputs: a cache line of each row read, and half a line of each row written.
  for (let k0 = 0; k0 < k; k0 += 64) {
    const kEnd = Math.min(k0 + 64, k);
    for (let c0 = 0; c0 < columns; c0 += 16) {
      const cEnd = Math.min(c0 + 16, columns);
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
  }
  return codes;
}

/** From [groups, N/8], nibbles as in `gemmCodes`, to [N, groups]. */
function gemmZeros(words: ArrayLike<number>, n: number, groups: number): Uint8Array {
  const zeros = new Uint8Array(n * groups);
  for (let row = 0; row < n; row++) {
    const shift = 4 * GEMM_NIBBLE[row % 8];
    for (let g = 0; g < groups; g++) zeros[row * groups + g] = (words[g * (n / 8) + (row >> 3)] >>> shift) & 15;
  }
  return zeros;
}

/** From [N, K/8]: nibble j of word w is input 8w + j, which is the order of compute layout 1. */
function gemvCodes(words: Int32Array | Int16Array, n: number, k: number): Uint8Array {
  const stored = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  const rowBytes = packedRowBytes(k);
  if (rowBytes === k / 2) return stored;
  const codes = new Uint8Array(n * rowBytes);
  for (let row = 0; row < n; row++) codes.set(stored.subarray(row * (k / 2), (row + 1) * (k / 2)), row * rowBytes);
  return codes;
}

/** From [N, Z]: nibble j of word w is group 8w + j; groups past the last are padding. */
function gemvZeros(words: ArrayLike<number>, n: number, groups: number): Uint8Array {
  const wordsPerRow = words.length / n;
  const zeros = new Uint8Array(n * groups);
  for (let row = 0; row < n; row++) {
    for (let g = 0; g < groups; g++) {
      zeros[row * groups + g] = (words[row * wordsPerRow + (g >> 3)] >>> (4 * (g & 7))) & 15;
    }
  }
  return zeros;
}

/**
 * From i16 [N/4, K]: row n = 4a + i keeps 64 inputs of block c at nibbles f = 64·i + p of elements [a, 64·c …], where
 * within each half of 32 the input t is at p = 8·⌊(t mod 8) / 2⌋ + 4·(t mod 2) + ⌊t / 8⌋.
 */
function gemvFastCodes(words: ArrayLike<number>, n: number, k: number): Uint8Array {
  const position = Array.from({ length: 64 }, (_, input) => {
    const t = input % 32;
    return input - t + 8 * Math.floor((t % 8) / 2) + 4 * (t % 2) + Math.floor(t / 8);
  });
  const rowBytes = packedRowBytes(k);
  const codes = new Uint8Array(n * rowBytes);
  for (let row = 0; row < n; row++) {
    const start = (row >> 2) * k;
    for (let input = 0; input < k; input++) {
      const f = 64 * (row & 3) + position[input % 64];
      const code = (words[start + (input - (input % 64)) + (f >> 2)] >>> (4 * (f & 3))) & 15;
      codes[row * rowBytes + (input >> 1)] |= code << (4 * (input & 1));
    }
  }
  return codes;
}

/** [groups or more, N] → [N, groups] */
function transposed(part: PackedPart, n: number, groups: number): Uint16Array | Float32Array {
  const stored = readFloats(part);
  const result = emptyLike(stored, n * groups);
  for (let row = 0; row < n; row++) {
    for (let g = 0; g < groups; g++) result[row * groups + g] = stored[g * n + row];
  }
  return finite(result, part, groups);
}

/** [N, groups or more] → [N, groups] */
function rowsOf(part: PackedPart, n: number, groups: number): Uint16Array | Float32Array {
  const stored = readFloats(part);
  const columns = stored.length / n;
  const result = emptyLike(stored, n * groups);
  for (let row = 0; row < n; row++) result.set(stored.subarray(row * columns, row * columns + groups), row * groups);
  return finite(result, part, groups);
}

const emptyLike = (values: Uint16Array | Float32Array, length: number): Uint16Array | Float32Array =>
  values instanceof Float32Array ? new Float32Array(length) : new Uint16Array(length);

function readFloats(part: PackedPart): Uint16Array | Float32Array {
  const values = part.read() as Uint16Array | Float32Array;
  return part.dtype === 'BF16' ? bf16ArrayToF32(values as Uint16Array) : values;
}

function finite(values: Uint16Array | Float32Array, part: PackedPart, groups: number): Uint16Array | Float32Array {
  const isBad = values instanceof Float32Array ? (value: number) => !Number.isFinite(value) : isNotFiniteF16;
  const at = values.findIndex(isBad);
  if (at < 0) return values;
  const value = values instanceof Float32Array ? values[at] : (values[at] & 1023) === 0 ? 'infinity' : 'NaN';
  const where = `${part.where}, output ${Math.floor(at / groups)}, group ${at % groups}`;
  throw new CheckpointError({ thing: 'scale', found: value, expected: 'a finite number', where });
}

const isNotFiniteF16 = (bits: number): boolean => (bits & 0x7c00) === 0x7c00;

const equal = (shape: readonly number[], other: readonly number[]): boolean =>
  shape.length === other.length && shape.every((size, i) => size === other[i]);

function requireShape(part: PackedPart, expected: string, fits: (shape: readonly number[]) => boolean): void {
  if (part.shape.length === 2 && fits(part.shape)) return;
  throw new CheckpointError({ thing: 'shape', found: `[${part.shape.join(', ')}]`, expected, where: part.where });
}

function requireDtype(part: PackedPart, expected: readonly Dtype[]): void {
  if (expected.includes(part.dtype)) return;
  throw new CheckpointError({ thing: 'dtype', found: part.dtype, expected: expected.join(' or '), where: part.where });
}

const missingZeros = (qweight: PackedPart): CheckpointError =>
  new CheckpointError({ thing: 'tensor', found: 'no qzeros', expected: 'qzeros beside qweight', where: qweight.where });
