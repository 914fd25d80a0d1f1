import { GradientError } from '../base/errors.js';
import { roundRows } from '../native/cache-pages.js';
import type { CacheType } from '../native/native.js';
import { columnsOf, type Kernel, type Operand } from './kernel.js';

/** Keys or values [..., d_head] as a KV cache of the type gives them back. The fused decoder does the same to its own. */
export const roundToCache: Kernel<{ x: Operand }, { readonly type: CacheType }> = {
  name: 'NibbleRoundToCache',
  compute({ x }, { type }) {
    const y = new Float32Array(x.values.length);
    roundRows(type, x.values, columnsOf(x), y);
    return { values: y, shape: x.shape };
  },
  gradient: {
    savedInputs: [],
    backward: (_dy, _saved, { type }) => {
      throw new GradientError({
        thing: 'gradient of rounding to a KV cache',
        found: type,
        expected: 'f32, which is not rounded',
        where: roundToCache.name,
      });
    },
  },
};
