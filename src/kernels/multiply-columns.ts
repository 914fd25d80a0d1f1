import { native, type NativeAddon } from '../native/native.js';
import type { Kernel, Operand } from './kernel.js';
import { execute } from './tfjs.js';

/** y[r, k] = x[r, k]·gain[k] */
export const multiplyColumnsReference: NativeAddon['multiplyColumns'] = (x, gain, y) => {
  for (let at = 0; at < x.length; at += gain.length) {
    for (let k = 0; k < gain.length; k++) y[at + k] = x[at + k] * gain[k];
  }
};

/** Each column times its own number: x [..., d] → y [..., d]. The gradient is the same product. */
export const multiplyColumns: Kernel<{ x: Operand }, { readonly gain: Float32Array }> = {
  name: 'NibbleMultiplyColumns',
  compute({ x }, { gain }) {
    const y = new Float32Array(x.values.length);
    (native()?.multiplyColumns ?? multiplyColumnsReference)(x.values, gain, y);
    return { values: y, shape: x.shape };
  },
  gradient: {
    savedInputs: [],
    backward: (dy, _, attributes) => ({ x: () => execute(multiplyColumns.name, { x: dy }, attributes)[0] }),
  },
};
