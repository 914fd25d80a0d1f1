import type { Tensor } from '@tensorflow/tfjs-core';
import { checkWhole } from '../base/options.js';
import { reshape as kernel } from '../kernels/reshape.js';
import { runKernel } from '../kernels/run.js';
import { checkSize, checkTensor } from './check.js';

/**
 * The same values in another shape of the same size. tfjs' own reshape does as well, at the cost of a copy into
 * TensorFlow's memory on the backend `tensorflow`.
 * @throws ShapeError where the sizes differ, OptionError for a size that is no whole number from 1 on.
 */
export function reshape(x: Tensor, shape: readonly number[]): Tensor {
  checkTensor('reshape', 'x', x, null);
  for (const size of shape) checkWhole('reshape', 'size in the new shape', size, 1, x.size);
  checkSize('reshape', 'values in the new shape', shape.reduce((a, b) => a * b, 1), x.size);
  return runKernel(kernel.name, { x }, { shape: [...shape] });
}
