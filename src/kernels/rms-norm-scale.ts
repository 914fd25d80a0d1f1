import { native, type NativeAddon } from '../native/native.js';
import { columnsOf, rowsOf, type Kernel, type Operand } from './kernel.js';
import { withColumns } from './matmul.js';
import { execute } from './tfjs.js';

/** scale[r] = √(mean_k x[r, k]² + eps) */
export const rmsNormScaleReference: NativeAddon['rmsNormScale'] = (x, rows, eps, scale) => {
  const d = x.length / rows;
  for (let r = 0; r < rows; r++) {
    let squares = 0;
    for (let at = r * d; at < (r + 1) * d; at++) squares += x[at] * x[at];
    scale[r] = Math.sqrt(squares / d + eps);
  }
};

/**
 * dx[r, k] = dscale[r]·x[r, k] / (d·scale[r]): x [..., d], scale, dscale [..., 1] → dx [..., d]. Only gradients through
 * a tapped norm need it, so TypeScript serves.
 */
export const rmsNormScaleGradient: Kernel<{ x: Operand; scale: Operand; dscale: Operand }> = {
  name: 'NibbleRMSNormScaleGradient',
  compute({ x, scale, dscale }) {
    const d = columnsOf(x);
    const dx = Float32Array.from(x.values, (value, at) => {
      const r = Math.floor(at / d);
      return (dscale.values[r] * value) / (d * scale.values[r]);
    });
    return { values: dx, shape: x.shape };
  },
};

/** The divisor of an RMSNorm: x [..., d] → scale [..., 1]. */
export const rmsNormScale: Kernel<{ x: Operand }, { readonly eps: number }> = {
  name: 'NibbleRMSNormScale',
  compute({ x }, { eps }) {
    const rows = rowsOf(x, columnsOf(x));
    const scale = new Float32Array(rows);
    (native()?.rmsNormScale ?? rmsNormScaleReference)(x.values, rows, eps, scale);
    return { values: scale, shape: withColumns(x.shape, 1) };
  },
  gradient: {
    savedInputs: ['x'],
    savesOutput: true,
    backward: (dscale, [x, scale]) => ({ x: () => execute(rmsNormScaleGradient.name, { x, scale, dscale }, {})[0] }),
  },
};
