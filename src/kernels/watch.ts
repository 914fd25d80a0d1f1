import type { Kernel, Operand } from './kernel.js';
import { reshape } from './reshape.js';
import { execute, valuesOf } from './tfjs.js';

interface WatchAttributes {
  /** Is handed the gradient by this point when a backward pass reaches it: shared values, only to be read. */
  readonly seen: (gradient: Float32Array) => void;
}

/** y = x, whose gradient, all that follows in the pass counted, is shown to `seen` on its way back. */
export const watch: Kernel<{ x: Operand }, WatchAttributes> = {
  name: 'NibbleWatch',
  compute: ({ x }) => x,
  gradient: {
    savedInputs: [],
    backward: (dy, _, { seen }) => {
      seen(valuesOf(dy) as Float32Array);
      return { x: () => execute(reshape.name, { x: dy }, { shape: dy.shape })[0] };
    },
  },
};
