import type { Tensor } from '@tensorflow/tfjs-core';
import { ShapeError } from '../base/errors.js';
import { valuesOf } from '../kernels/tfjs.js';

/** The values of a float tensor, row-major. They are shared with the tensor: only read them, or take a `slice()`. */
export function tensorValues(x: Tensor): Float32Array {
  const values = valuesOf(x);
  if (values instanceof Float32Array) return values;
  throw new ShapeError({ thing: 'dtype of a tensor', found: x.dtype, expected: 'float32' });
}
