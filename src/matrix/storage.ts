/**
 * The arrays of a weight matrix as kernels read them, for y[n] = Σ_k W[n, k]·x[k]. A storage is immutable; calls in
 * flight and gradient tapes keep it alive by holding it.
 */
export type MatrixStorage = PackedStorage | DenseStorage;

/** Bits of a code that kernels can read. */
export type CodeBits = 2 | 3 | 4 | 5 | 6 | 8;

/**
 * A low-bit matrix in compute layout 3: `panels.ts` says where outputs, groups and the bits of codes are. With
 * g = ⌊k / groupSize⌋ and q the code at (n, k):
 * - `offsets` null: W[n, k] = (q − z)·s, z = zeros[n, g], or 2^(bits − 1) where `zeros` is null;
 * - `offsets` given: W[n, k] = q·s + b, b = offsets[n, g] (and `zeros` is null).
 */
export interface PackedStorage {
  readonly kind: 'packed';
  readonly bits: CodeBits;
  readonly outFeatures: number;
  readonly inFeatures: number;
  /** Consecutive inputs that share a scale; the last group of a row may be shorter. */
  readonly groupSize: number;
  /** [panels of 16 outputs, blocks of 32 inputs, 64·bits bytes]. Padding is 0. */
  readonly codes: Uint8Array;
  /** [panels, groups, 16]: float16 bits as in the file, or float32 where the file's scales are bfloat16 or float32. */
  readonly scales: Uint16Array | Float32Array;
  /** [panels, groups, 16] zero points, as large as codes. */
  readonly zeros: Uint8Array | null;
  /** [panels, groups, 16], of the same type as `scales`. */
  readonly offsets: Uint16Array | Float32Array | null;
}

/** A float matrix as stored in its file. */
export interface DenseStorage {
  readonly kind: 'dense';
  readonly dtype: 'f32' | 'f16' | 'bf16';
  readonly outFeatures: number;
  readonly inFeatures: number;
  /** [outFeatures, inFeatures]; for f16 and bf16, their bits. */
  readonly values: Float32Array | Uint16Array;
}

/**
 * How activations meet packed weights: 'exact' as float32, or 'fast', rounded to int8 with a scale max|x| / 127 for every
 * 32 inputs.
 */
export type Mode = 'exact' | 'fast';

/** All modes, the exact one first. */
export const MODES = ['exact', 'fast'] as const satisfies readonly Mode[];

/** Groups along a row of a packed matrix. */
export const groupsPerRow = (inFeatures: number, groupSize: number): number => Math.ceil(inFeatures / groupSize);
