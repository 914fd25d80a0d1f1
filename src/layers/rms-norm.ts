import type { Tensor } from '@tensorflow/tfjs-core';
import { divideRows, multiplyColumns, rmsNorm, rmsNormScale } from '../ops/index.js';
import { tapped, type PointTap } from './tap.js';

/** x / √(mean x² + eps) · weight (Zhang and Sennrich 2019, arXiv:1910.07467). */
export class RMSNorm {
  constructor(
    readonly weight: Float32Array, // [d_model]
    readonly eps: number,
  ) {}

  /** With a tap on `${name}.hook_scale` or `.hook_normalized` it runs in three kernels that give the same bits as one. */
  forward<Name extends string>(
    x: Tensor,
    tap: PointTap<`${Name}.hook_scale` | `${Name}.hook_normalized`> | null,
    name: Name,
  ): Tensor {
    if (!tap?.wants(`${name}.hook_scale`) && !tap?.wants(`${name}.hook_normalized`)) {
      return rmsNorm(x, this.weight, this.eps); // [batch, pos, d_model]
    }
    const scale = tapped(tap, `${name}.hook_scale`, rmsNormScale(x, this.eps)); // [batch, pos, 1]
    const normalized = tapped(tap, `${name}.hook_normalized`, divideRows(x, scale)); // [batch, pos, d_model]
    return multiplyColumns(normalized, this.weight);
  }
}
