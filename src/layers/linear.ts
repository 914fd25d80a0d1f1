import type { Tensor } from '@tensorflow/tfjs-core';
import type { MatrixStorage, Mode } from '../matrix/storage.js';
import { matmul } from '../ops/index.js';
import { tapped, type PointTap } from './tap.js';

/** y = x·Wᵀ + b. The weight may be float or packed to few bits: who calls cannot tell. */
export class Linear {
  constructor(
    readonly weight: MatrixStorage, // [out_features, in_features]
    readonly bias: Float32Array | null, // [out_features]
    readonly mode: Mode = 'exact',
  ) {}

  /** The points before and after it are `${name}.hook_in` and `${name}.hook_out`. */
  forward<Name extends string>(
    x: Tensor,
    tap: PointTap<`${Name}.hook_in` | `${Name}.hook_out`> | null,
    name: Name,
  ): Tensor {
    const input = tapped(tap, `${name}.hook_in`, x); // [batch, pos, in_features]
    return tapped(tap, `${name}.hook_out`, matmul(input, this.weight, this.bias, this.mode)); // [batch, pos, out_features]
  }
}
