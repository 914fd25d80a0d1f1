import type { Tensor } from '@tensorflow/tfjs-core';
import { runKernel } from '../kernels/run.js';
import { softmax as kernel } from '../kernels/softmax.js';
import { checkTensor, lastAxis } from './check.js';

/**
 * y_j = e^x_j / Σ_i e^x_i along the last axis. A row of −∞ alone, in which everything is masked, becomes zeros.
 * @throws ShapeError for a tensor without axes.
 */
export function softmax(x: Tensor): Tensor {
  checkTensor('softmax', 'x', x, null);
  lastAxis('softmax', 'x', x);
  return runKernel(kernel.name, { x });
}
