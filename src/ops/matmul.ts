import type { Tensor } from '@tensorflow/tfjs-core';
import { matmulDense } from '../kernels/matmul-dense.js';
import { matmulPacked } from '../kernels/matmul-packed.js';
import { runKernel } from '../kernels/run.js';
import type { MatrixStorage } from '../matrix/storage.js';
import { checkMatrix, checkSize, checkTensor, lastAxis } from './check.js';

/**
 * y = x·Wᵀ + b with the weights packed to 4 bits or dense: x [..., inFeatures], W [outFeatures, inFeatures],
 * b [outFeatures] or null → [..., outFeatures]. Differentiable by x: dx = dy·W.
 * @throws ShapeError where sizes do not fit.
 */
export function matmul(x: Tensor, weight: MatrixStorage, bias: Float32Array | null = null): Tensor {
  checkTensor('matmul', 'x', x, null);
  checkSize('matmul', 'last axis of x', lastAxis('matmul', 'x', x), weight.inFeatures);
  checkMatrix('matmul', 'weight', weight);
  if (bias) checkSize('matmul', 'length of the bias', bias.length, weight.outFeatures);
  const kernel = weight.kind === 'packed' ? matmulPacked.name : matmulDense.name;
  return runKernel(kernel, { x }, { weight, bias });
}
