import type { Tensor } from '@tensorflow/tfjs-core';
import { runKernel } from '../kernels/run.js';
import { swiglu as kernel } from '../kernels/swiglu.js';
import { checkShape, checkTensor } from './check.js';

/**
 * y = SiLU(gate)·up with SiLU(a) = a / (1 + e^−a) (Shazeer 2020, arXiv:2002.05202), of two float tensors of one shape.
 * @throws ShapeError where the shapes differ.
 */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  checkTensor('swiglu', 'gate', gate, null);
  checkTensor('swiglu', 'up', up, null);
  checkShape('swiglu', 'up', up.shape, gate.shape);
  return runKernel(kernel.name, { gate, up });
}
