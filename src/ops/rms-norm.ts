import type { Tensor } from '@tensorflow/tfjs-core';
import { OptionError } from '../base/errors.js';
import { divideRows as divideRowsKernel } from '../kernels/divide-rows.js';
import { multiplyColumns as multiplyColumnsKernel } from '../kernels/multiply-columns.js';
import { rmsNormScale as rmsNormScaleKernel } from '../kernels/rms-norm-scale.js';
import { rmsNorm as rmsNormKernel } from '../kernels/rms-norm.js';
import { runKernel } from '../kernels/run.js';
import { checkShape, checkSize, checkTensor, lastAxis } from './check.js';

// RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467), whole and in its three steps. The steps one after the other give
// the bits of the whole.

/**
 * y = x / √(mean x² + eps)·gain along the last axis: x [..., d], gain [d] → [..., d].
 * @throws ShapeError where sizes do not fit, OptionError for an eps that is not a number of 0 or more.
 */
export function rmsNorm(x: Tensor, gain: Float32Array, eps: number): Tensor {
  checkTensor('rmsNorm', 'x', x, null);
  checkSize('rmsNorm', 'length of the gain', gain.length, lastAxis('rmsNorm', 'x', x));
  checkEps('rmsNorm', eps);
  return runKernel(rmsNormKernel.name, { x }, { gain, eps });
}

/** The divisor √(mean x² + eps): x [..., d] → [..., 1]. @throws as `rmsNorm` does. */
export function rmsNormScale(x: Tensor, eps: number): Tensor {
  checkTensor('rmsNormScale', 'x', x, null);
  lastAxis('rmsNormScale', 'x', x);
  checkEps('rmsNormScale', eps);
  return runKernel(rmsNormScaleKernel.name, { x }, { eps });
}

/** Each row by its own divisor: x [..., d], scale [..., 1] → [..., d]. @throws ShapeError where shapes do not fit. */
export function divideRows(x: Tensor, scale: Tensor): Tensor {
  checkTensor('divideRows', 'x', x, null);
  checkTensor('divideRows', 'scale', scale, null);
  checkShape('divideRows', 'scale', scale.shape, [...x.shape.slice(0, -1), 1]);
  return runKernel(divideRowsKernel.name, { x, scale });
}

/** Each column times its own number: x [..., d], gain [d] → [..., d]. @throws ShapeError where sizes do not fit. */
export function multiplyColumns(x: Tensor, gain: Float32Array): Tensor {
  checkTensor('multiplyColumns', 'x', x, null);
  checkSize('multiplyColumns', 'length of the gain', gain.length, lastAxis('multiplyColumns', 'x', x));
  return runKernel(multiplyColumnsKernel.name, { x }, { gain });
}

function checkEps(op: string, eps: number): void {
  if (!(eps >= 0 && eps < Infinity)) throw new OptionError({ thing: 'eps', found: eps, expected: '0 or more', where: op });
}
