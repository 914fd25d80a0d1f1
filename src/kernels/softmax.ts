import { native, type NativeAddon } from '../native/native.js';
import { columnsOf, type Kernel, type Operand } from './kernel.js';
import { execute } from './tfjs.js';

/** y_j = e^(x_j − max x) / Σ e^(x_j − max x) in each row; a row of −∞ alone becomes zeros, a NaN makes its row NaN. */
export const softmaxReference: NativeAddon['softmax'] = (x, columns, y) => {
  const powers = new Float64Array(columns);
  for (let start = 0; start < x.length; start += columns) {
    let most = -Infinity;
    for (let j = 0; j < columns; j++) most = Math.max(most, x[start + j]);
    if (most === -Infinity) {
      y.fill(0, start, start + columns);
      continue;
    }
    let sum = 0;
    for (let j = 0; j < columns; j++) sum += powers[j] = Math.exp(x[start + j] - most);
    for (let j = 0; j < columns; j++) y[start + j] = powers[j] / sum;
  }
};

/** dx_j = y_j·(dy_j − Σ_i y_i·dy_i) in each row. */
export const softmaxGradientReference: NativeAddon['softmaxGradient'] = (y, columns, dy, dx) => {
  for (let start = 0; start < y.length; start += columns) {
    let mean = 0;
    for (let j = start; j < start + columns; j++) mean += y[j] * dy[j];
    for (let j = start; j < start + columns; j++) dx[j] = y[j] * (dy[j] - mean);
  }
};

/** The gradient of `softmax` by x: y, dy [..., columns] → dx of that shape. */
export const softmaxGradient: Kernel<{ y: Operand; dy: Operand }> = {
  name: 'NibbleSoftmaxGradient',
  compute({ y, dy }) {
    const dx = new Float32Array(y.values.length);
    (native()?.softmaxGradient ?? softmaxGradientReference)(y.values, columnsOf(y), dy.values, dx);
    return { values: dx, shape: y.shape };
  },
};

/** Softmax along the last axis: x [..., columns] → y of that shape. */
export const softmax: Kernel<{ x: Operand }> = {
  name: 'NibbleSoftmax',
  compute({ x }) {
    const y = new Float32Array(x.values.length);
    (native()?.softmax ?? softmaxReference)(x.values, columnsOf(x), y);
    return { values: y, shape: x.shape };
  },
  gradient: {
    savedInputs: [],
    savesOutput: true,
    backward: (dy, [y]) => ({ x: () => execute(softmaxGradient.name, { y, dy }, {})[0] }),
  },
};
