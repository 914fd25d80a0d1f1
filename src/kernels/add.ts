import { native, type NativeAddon } from '../native/native.js';
import type { Kernel, Operand } from './kernel.js';
import { reshape } from './reshape.js';
import { execute } from './tfjs.js';

/** y = a + b */
export const addReference: NativeAddon['add'] = (a, b, y) => {
  for (let i = 0; i < a.length; i++) y[i] = a[i] + b[i];
};

/** The sum of two tensors of one shape. The gradient is handed on to both, as a tensor each: tfjs disposes of them apart. */
export const add: Kernel<{ a: Operand; b: Operand }> = {
  name: 'NibbleAdd',
  compute({ a, b }) {
    const y = new Float32Array(a.values.length);
    (native()?.add ?? addReference)(a.values, b.values, y);
    return { values: y, shape: a.shape };
  },
  gradient: {
    savedInputs: [],
    backward: (dy) => {
      const copy = () => execute(reshape.name, { x: dy }, { shape: dy.shape })[0];
      return { a: copy, b: copy };
    },
  },
};
