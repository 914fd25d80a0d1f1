// tfjs-node's own matMul.
import util from 'node:util';
import { optionalModule, serve, timesPerSecond } from '../peer-process.js';

interface Tensor {
  data(): Promise<Float32Array>;
  dispose(): void;
}

interface Module {
  tensor2d(values: Float32Array, shape: readonly [number, number]): Tensor;
  matMul(a: Tensor, b: Tensor): Tensor;
}

interface Product {
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly sizes: readonly [rows: number, inner: number, columns: number];
}

let tf: Module;
let factors: readonly [Tensor, Tensor];

serve({
  start: () => {
    // Node.js 23 took away what tfjs-node 4.22 calls
    if (!('isNullOrUndefined' in util)) Object.assign(util, { isNullOrUndefined: (value: unknown) => value == null });
    tf = optionalModule<Module>('@tensorflow/tfjs-node');
  },
  open: ({ a, b, sizes: [rows, inner, columns] }: Product) => {
    factors = [tf.tensor2d(a, [rows, inner]), tf.tensor2d(b, [inner, columns])];
  },
  values: () => tf.matMul(...factors).data(),
  /** matMul is synchronous. */
  rate: () => timesPerSecond(() => tf.matMul(...factors).dispose()),
});
