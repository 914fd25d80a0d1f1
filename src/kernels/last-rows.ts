import type { Kernel, Operand } from './kernel.js';
import { execute } from './tfjs.js';

/** dx = dy at the last position and 0 elsewhere: dy [batch, 1, d] → dx [batch, pos, d]. */
export const lastRowsGradient: Kernel<{ dy: Operand }, { readonly pos: number }> = {
  name: 'NibbleLastRowsGradient',
  compute({ dy }, { pos }) {
    const [batch, , d] = dy.shape;
    const dx = new Float32Array(batch * pos * d);
    for (let b = 0; b < batch; b++) dx.set(dy.values.subarray(b * d, (b + 1) * d), (b * pos + pos - 1) * d);
    return { values: dx, shape: [batch, pos, d] };
  },
};

/** y[b] = x[b, pos − 1]: x [batch, pos, d] → y [batch, 1, d]. */
export const lastRows: Kernel<{ x: Operand }> = {
  name: 'NibbleLastRows',
  compute({ x }) {
    const [batch, pos, d] = x.shape;
    const y = new Float32Array(batch * d);
    for (let b = 0; b < batch; b++) {
      const last = (b * pos + pos - 1) * d;
      y.set(x.values.subarray(last, last + d), b * d);
    }
    return { values: y, shape: [batch, 1, d] };
  },
  gradient: {
    savedInputs: ['x'],
    backward: (dy, [x]) => ({ x: () => execute(lastRowsGradient.name, { dy }, { pos: x.shape[1] })[0] }),
  },
};
