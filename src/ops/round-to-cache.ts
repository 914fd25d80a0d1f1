import type { Tensor } from '@tensorflow/tfjs-core';
import { checkOneOf } from '../base/options.js';
import { roundToCache as kernel } from '../kernels/round-to-cache.js';
import { runKernel } from '../kernels/run.js';
import { CACHE_TYPES } from '../native/cache-pages.js';
import type { CacheType } from '../native/native.js';
import { checkTensor, lastAxis } from './check.js';

/**
 * Keys or values x [..., d_head] as a KV cache of the type gives them back: x itself for 'f32'; to nearest, ties to
 * even, for 'f16'; for 'int8' scale·code, with scale = max|x| / 127 of each vector, within max|x| / 253 of x. Rounding
 * has no gradient: to ask for one is a GradientError.
 * @throws ShapeError for a tensor without axes, OptionError for an unknown type.
 */
export function roundToCache(x: Tensor, type: CacheType): Tensor {
  checkTensor('roundToCache', 'x', x, null);
  lastAxis('roundToCache', 'x', x);
  checkOneOf('type', type, CACHE_TYPES, 'roundToCache');
  return type === 'f32' ? x : runKernel(kernel.name, { x }, { type });
}
