import type { Tensor } from '@tensorflow/tfjs-core';
import { matmulDense } from '../kernels/matmul-dense.js';
import { matmulPacked } from '../kernels/matmul-packed.js';
import { runKernel } from '../kernels/run.js';
import { MODES, type MatrixStorage, type Mode } from '../matrix/storage.js';
import { checkOneOf } from '../base/options.js';
import { checkMatrix, checkSize, checkTensor, lastAxis } from './check.js';

/**
 * y = x·Wᵀ + b with the weights packed to 2–8 bits or dense: x [..., inFeatures], W [outFeatures, inFeatures],
 * b [outFeatures] or null → [..., outFeatures]. `mode` says how x meets packed weights. Differentiable by x in 'exact':
 * dx = dy·W.
 * @throws ShapeError where sizes do not fit, OptionError for another mode; GradientError where a gradient is asked for in 'fast'.
 */
export function matmul(
  x: Tensor,
  weight: MatrixStorage,
  bias: Float32Array | null = null,
  mode: Mode = 'exact',
): Tensor {
  checkTensor('matmul', 'x', x, null);
  checkSize('matmul', 'last axis of x', lastAxis('matmul', 'x', x), weight.inFeatures);
  checkMatrix('matmul', 'weight', weight);
  if (bias) checkSize('matmul', 'length of the bias', bias.length, weight.outFeatures);
  checkOneOf('mode', mode, MODES);
  if (weight.kind === 'dense') return runKernel(matmulDense.name, { x }, { weight, bias });
  return runKernel(matmulPacked.name, { x }, { weight, bias, mode });
}
