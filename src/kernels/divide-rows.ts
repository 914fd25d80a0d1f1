import { native, type NativeAddon } from '../native/native.js';
import { columnsOf, type Kernel, type Operand } from './kernel.js';
import { execute } from './tfjs.js';

/** y[r, k] = x[r, k] / scale[r] */
export const divideRowsReference: NativeAddon['divideRows'] = (x, scale, y) => {
  const columns = x.length / scale.length;
  for (let r = 0; r < scale.length; r++) {
    for (let at = r * columns; at < (r + 1) * columns; at++) y[at] = x[at] / scale[r];
  }
};

/**
 * dscale[r] = −Σ_k dy[r, k]·x[r, k] / scale[r]²: x, dy [..., d], scale [..., 1] → dscale [..., 1]. Only gradients
 * through a tapped norm need it, so TypeScript serves.
 */
export const divideRowsGradient: Kernel<{ x: Operand; scale: Operand; dy: Operand }> = {
  name: 'NibbleDivideRowsGradient',
  compute({ x, scale, dy }) {
    const columns = columnsOf(x);
    const dscale = Float32Array.from(scale.values, (divisor, r) => {
      let sum = 0;
      for (let at = r * columns; at < (r + 1) * columns; at++) sum += dy.values[at] * x.values[at];
      return -sum / (divisor * divisor);
    });
    return { values: dscale, shape: scale.shape };
  },
};

/** Each row divided by its own number: x [..., d], scale [..., 1] → y [..., d]. */
export const divideRows: Kernel<{ x: Operand; scale: Operand }> = {
  name: 'NibbleDivideRows',
  compute({ x, scale }) {
    const y = new Float32Array(x.values.length);
    (native()?.divideRows ?? divideRowsReference)(x.values, scale.values, y);
    return { values: y, shape: x.shape };
  },
  gradient: {
    savedInputs: ['x', 'scale'],
    backward: (dy, [x, scale]) => ({
      x: () => execute(divideRows.name, { x: dy, scale }, {})[0],
      scale: () => execute(divideRowsGradient.name, { x, scale, dy }, {})[0],
    }),
  },
};
