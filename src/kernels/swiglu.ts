import { native, type NativeAddon } from '../native/native.js';
import type { Kernel, Operand } from './kernel.js';
import { execute } from './tfjs.js';

/** y = gate / (1 + e^−gate)·up */
export const swigluReference: NativeAddon['swiglu'] = (gate, up, y) => {
  for (let i = 0; i < gate.length; i++) y[i] = (gate[i] / (1 + Math.exp(-gate[i]))) * up[i];
};

/** With σ = 1 / (1 + e^−gate): dgate = dy·up·σ·(1 + gate·(1 − σ)), dup = dy·gate·σ. */
export const swigluGradientReference: NativeAddon['swigluGradient'] = (gate, up, dy, dgate, dup) => {
  for (let i = 0; i < gate.length; i++) {
    const sigmoid = 1 / (1 + Math.exp(-gate[i]));
    dgate[i] = dy[i] * up[i] * sigmoid * (1 + gate[i] * (1 - sigmoid));
    dup[i] = dy[i] * gate[i] * sigmoid;
  }
};

/** The gradients of `swiglu`: gate, up, dy of one shape → [dgate, dup]. */
export const swigluGradient: Kernel<{ gate: Operand; up: Operand; dy: Operand }> = {
  name: 'NibbleSwiGLUGradient',
  compute({ gate, up, dy }) {
    const dgate = new Float32Array(gate.values.length);
    const dup = new Float32Array(up.values.length);
    (native()?.swigluGradient ?? swigluGradientReference)(gate.values, up.values, dy.values, dgate, dup);
    return [{ values: dgate, shape: gate.shape }, { values: dup, shape: up.shape }];
  },
};

/** SiLU(gate)·up (Shazeer 2020, arXiv:2002.05202): two tensors of one shape → a third. */
export const swiglu: Kernel<{ gate: Operand; up: Operand }> = {
  name: 'NibbleSwiGLU',
  compute({ gate, up }) {
    const y = new Float32Array(gate.values.length);
    (native()?.swiglu ?? swigluReference)(gate.values, up.values, y);
    return { values: y, shape: gate.shape };
  },
  gradient: {
    savedInputs: ['gate', 'up'],
    backward: (dy, [gate, up]) => {
      const [dgate, dup] = execute(swigluGradient.name, { gate, up, dy }, {});
      return { gate: () => dgate, up: () => dup };
    },
  },
};
