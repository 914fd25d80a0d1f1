import { roundHalfEven } from '../base/round.js';
import type { MatrixStorage, PackedStorage } from '../matrix/storage.js';
import { decodeRow } from './weight-rows.js';

// What the matrix products by packed and by dense weights share: their references. One row of weights is decoded at a
// time and serves all rows of x, so no matrix is ever held as floats.

/** y[r, n] = bias[n] + Σ_k x[r, k]·W[n, k] */
export function matmulReference(
  x: Float32Array, // [rows, inFeatures]
  rows: number,
  w: MatrixStorage,
  bias: Float32Array | null, // [outFeatures]
  y: Float32Array, // [rows, outFeatures]
): void {
  const { outFeatures, inFeatures } = w;
  const weights = new Float64Array(inFeatures);
  for (let n = 0; n < outFeatures; n++) {
    decodeRow(w, n, weights);
    for (let r = 0; r < rows; r++) {
      let sum = bias ? bias[n] : 0;
      for (let k = 0, at = r * inFeatures; k < inFeatures; k++, at++) sum += x[at] * weights[k];
      y[r * outFeatures + n] = sum;
    }
  }
}

/** Inputs that share a scale in `fast`. */
const SCALED_INPUTS = 32;

/** The product with x rounded as `fast` rounds it: s·round(x / s) with s = max|x| / 127 of each 32 inputs, in float32. */
export function fastReference(
  x: Float32Array, // [rows, inFeatures]
  rows: number,
  w: PackedStorage,
  bias: Float32Array | null, // [outFeatures]
  y: Float32Array, // [rows, outFeatures]
): void {
  const rounded = new Float32Array(x.length);
  for (let r = 0; r < rows; r++) {
    for (let k = 0; k < w.inFeatures; k += SCALED_INPUTS) {
      const from = r * w.inFeatures + k;
      const to = from + Math.min(SCALED_INPUTS, w.inFeatures - k);
      roundScaled(x.subarray(from, to), rounded.subarray(from, to));
    }
  }
  matmulReference(rounded, rows, w, bias, y);
}

function roundScaled(x: Float32Array, rounded: Float32Array): void {
  const largest = x.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (!Number.isFinite(largest)) return void rounded.fill(NaN);
  // below this, the kernels' 127 / max|x| would overflow in float32
  if (largest <= Math.fround(1e-36)) return;
  const factor = Math.fround(127 / largest);
  const scale = Math.fround(largest / 127);
  x.forEach((value, i) => (rounded[i] = scale * roundHalfEven(Math.fround(value * factor))));
}

/** dx[r, k] = Σ_n dy[r, n]·W[n, k] */
export function matmulGradientReference(
  dy: Float32Array, // [rows, outFeatures]
  rows: number,
  w: MatrixStorage,
  dx: Float32Array, // [rows, inFeatures]
): void {
  const { outFeatures, inFeatures } = w;
  const weights = new Float64Array(inFeatures);
  const sums = new Float64Array(rows * inFeatures);
  for (let n = 0; n < outFeatures; n++) {
    decodeRow(w, n, weights);
    for (let r = 0; r < rows; r++) {
      const slope = dy[r * outFeatures + n];
      for (let k = 0, at = r * inFeatures; k < inFeatures; k++, at++) sums[at] += slope * weights[k];
    }
  }
  dx.set(sums);
}

/** The shape of y, or of dx: the last axis replaced. */
export const withColumns = (shape: readonly number[], columns: number): number[] => [...shape.slice(0, -1), columns];
