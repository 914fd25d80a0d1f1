/**
 * The arrays of a weight matrix as kernels read them. All are row-major with rows along outFeatures, so that
 * y[n] = Σ_k W[n, k]·x[k]. A storage is immutable; calls in flight and gradient tapes keep it alive by holding it.
 */
export type MatrixStorage = PackedStorage | DenseStorage;

/**
 * A 4-bit matrix in compute layout 1. With g = ⌊k / groupSize⌋ and q the code at (n, k):
 * - `offsets` null: W[n, k] = (q − z)·s, z = zeros[n, g], or 8 where `zeros` is null;
 * - `offsets` given: W[n, k] = q·s + b, b = offsets[n, g] (and `zeros` is null).
 */
export interface PackedStorage {
  readonly kind: 'packed';
  readonly bits: 4;
  readonly outFeatures: number;
  readonly inFeatures: number;
  /** Consecutive inputs that share a scale; the last group of a row may be shorter. */
  readonly groupSize: number;
  /** Bytes from one row of codes to the next: ⌈inFeatures / 2⌉ rounded up to a multiple of 16. */
  readonly rowBytes: number;
  /** [outFeatures, rowBytes]: code k of a row is in byte ⌊k / 2⌋, even k in the low nibble. Padding is 0. */
  readonly codes: Uint8Array;
  /** [outFeatures, groups]: float16 bits as in the file, or float32 where the file's scales are bfloat16 or float32. */
  readonly scales: Uint16Array | Float32Array;
  /** [outFeatures, groups] zero points 0…15. */
  readonly zeros: Uint8Array | null;
  /** [outFeatures, groups], of the same type as `scales`. */
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

/** Groups along a row of a packed matrix. */
export const groupsPerRow = (inFeatures: number, groupSize: number): number => Math.ceil(inFeatures / groupSize);

/** Bytes of one row of 4-bit codes in compute layout 1. */
export const packedRowBytes = (inFeatures: number): number => Math.ceil(inFeatures / 32) * 16;
