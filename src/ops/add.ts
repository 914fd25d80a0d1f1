import type { Tensor } from '@tensorflow/tfjs-core';
import { add as kernel } from '../kernels/add.js';
import { runKernel } from '../kernels/run.js';
import { checkShape, checkTensor } from './check.js';

/**
 * y = a + b, of two float tensors of one shape: the residual addition. No broadcasting.
 * @throws ShapeError where the shapes differ.
 */
export function add(a: Tensor, b: Tensor): Tensor {
  checkTensor('add', 'a', a, null);
  checkTensor('add', 'b', b, null);
  checkShape('add', 'b', b.shape, a.shape);
  return runKernel(kernel.name, { a, b });
}
