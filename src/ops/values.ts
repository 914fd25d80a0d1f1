import { tidy, type Tensor } from '@tensorflow/tfjs-core';
import { DisposedError, ShapeError } from '../base/errors.js';
import { valuesOf } from '../kernels/tfjs.js';

/** The values of a float tensor, row-major. They are shared with the tensor: only read them, or take a `slice()`. */
export function tensorValues(x: Tensor): Float32Array {
  if (x.isDisposed) throw new DisposedError({ thing: 'tensor', found: 'disposed', expected: 'in use' });
  const values = valuesOf(x);
  if (values instanceof Float32Array) return values;
  throw new ShapeError({ thing: 'dtype of a tensor', found: x.dtype, expected: 'float32' });
}

/**
 * The values of the float tensor that `work` makes; every tensor that it makes is disposed of. (`tidy` would search an
 * array that it is to return for tensors, number by number: seconds for the logits of a page of text.)
 */
export function tidyValues(work: () => Tensor): Float32Array {
  const result = tidy(work);
  try {
    return tensorValues(result);
  } finally {
    result.dispose();
  }
}
