import type { Tensor } from '@tensorflow/tfjs-core';
import { execute } from './tfjs.js';

/** One kernel call, as an observer sees it. */
export interface KernelCall {
  readonly kernel: string;
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly attributes: object;
  readonly output: Tensor;
}

type Observer = (call: KernelCall) => void;
const observers = new Set<Observer>();

/** Tells `observer` of every kernel call made through `runKernel` until the returned function is called. */
export function observeKernels(observer: Observer): () => void {
  observers.add(observer);
  return () => void observers.delete(observer);
}

/** Runs a registered kernel with one output on the current tfjs backend; differentiable if it has a gradient. */
export function runKernel(kernel: string, inputs: Record<string, Tensor>, attributes: object = {}): Tensor {
  const [output] = execute(kernel, inputs, attributes);
  for (const observer of observers) observer({ kernel, inputs, attributes, output });
  return output;
}
