import { native, type NativeAddon } from '../native/native.js';
import { divideRowsReference } from './divide-rows.js';
import { rowsOf, type Kernel, type Operand } from './kernel.js';
import { multiplyColumnsReference } from './multiply-columns.js';
import { rmsNormScaleReference } from './rms-norm-scale.js';
import { execute } from './tfjs.js';

interface RMSNormAttributes {
  /** [d] */
  readonly gain: Float32Array;
  readonly eps: number;
}

/** The three steps one after the other, each rounded to float32, so that the joined kernel gives the bits of the split ones. */
export const rmsNormReference: NativeAddon['rmsNorm'] = (x, rows, gain, eps, y) => {
  const scale = new Float32Array(rows);
  const divided = new Float32Array(x.length);
  rmsNormScaleReference(x, rows, eps, scale);
  divideRowsReference(x, scale, divided);
  multiplyColumnsReference(divided, gain, y);
};

/** dx_k = (gain_k·dy_k − x_k·Σ_j gain_j·dy_j·x_j / (d·scale²)) / scale */
export const rmsNormGradientReference: NativeAddon['rmsNormGradient'] = (x, rows, gain, eps, dy, dx) => {
  const d = gain.length;
  for (let r = 0; r < rows; r++) {
    let squares = 0;
    let along = 0;
    for (let k = 0, at = r * d; k < d; k++, at++) {
      squares += x[at] * x[at];
      along += gain[k] * dy[at] * x[at];
    }
    const meanSquare = squares / d + eps;
    const slope = along / (d * meanSquare);
    for (let k = 0, at = r * d; k < d; k++, at++) dx[at] = (gain[k] * dy[at] - x[at] * slope) / Math.sqrt(meanSquare);
  }
};

/** The gradient of `rmsNorm` by x: x, dy [..., d] → dx [..., d]. */
export const rmsNormGradient: Kernel<{ x: Operand; dy: Operand }, RMSNormAttributes> = {
  name: 'NibbleRMSNormGradient',
  compute({ x, dy }, { gain, eps }) {
    const dx = new Float32Array(x.values.length);
    const rows = rowsOf(x, gain.length);
    (native()?.rmsNormGradient ?? rmsNormGradientReference)(x.values, rows, gain, eps, dy.values, dx);
    return { values: dx, shape: x.shape };
  },
};

/** y_k = x_k / √(mean_j x_j² + eps)·gain_k over the last axis (Zhang and Sennrich 2019): x [..., d] → y [..., d]. */
export const rmsNorm: Kernel<{ x: Operand }, RMSNormAttributes> = {
  name: 'NibbleRMSNorm',
  compute({ x }, { gain, eps }) {
    const y = new Float32Array(x.values.length);
    (native()?.rmsNorm ?? rmsNormReference)(x.values, rowsOf(x, gain.length), gain, eps, y);
    return { values: y, shape: x.shape };
  },
  gradient: {
    savedInputs: ['x'],
    backward: (dy, [x], attributes) => ({ x: () => execute(rmsNormGradient.name, { x, dy }, attributes)[0] }),
  },
};
