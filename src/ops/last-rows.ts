import type { Tensor } from '@tensorflow/tfjs-core';
import { lastRows as kernel } from '../kernels/last-rows.js';
import { runKernel } from '../kernels/run.js';
import { checkTensor } from './check.js';

/**
 * The last position of each sequence: x [batch, pos, d] → [batch, 1, d].
 * @throws ShapeError for another number of axes.
 */
export function lastRows(x: Tensor): Tensor {
  checkTensor('lastRows', 'x', x, [3]);
  return runKernel(kernel.name, { x });
}
