import { engine, getKernel, registerGradient, registerKernel, Tensor, type KernelBackend } from '@tensorflow/tfjs-core';
import { OptionError } from '../base/errors.js';
import type { Kernel, Operand } from './kernel.js';

// The one file that meets tfjs' internals. Nothing is copied between kernels: both backends keep the array that `write`
// is given and hand out the same one in `readSync`, until a TensorFlow op takes the tensor and its values move to
// TensorFlow's memory, from where `readSync` copies them.

/** The tfjs backends that have the kernels. */
export const BACKENDS = ['cpu', 'tensorflow'] as const;
/** A tfjs backend on which the kernels run. */
export type BackendName = (typeof BACKENDS)[number];

/** The values of a tensor, wherever they are: shared, so they are only to be read. */
export function valuesOf(tensor: { readonly dataId: object }): Float32Array | Int32Array {
  return engine().readSync(tensor.dataId) as Float32Array | Int32Array;
}

/** Makes a kernel, and its gradient, known to tfjs. */
export function register<Inputs extends object, Attributes extends object>(kernel: Kernel<Inputs, Attributes>): void {
  const { name, gradient } = kernel;
  for (const backendName of BACKENDS) {
    registerKernel({
      kernelName: name,
      backendName,
      kernelFunc: ({ inputs, attrs, backend }) => {
        const operands: Record<string, Operand<Float32Array | Int32Array>> = {};
        for (const key in inputs) {
          const input = inputs[key];
          if (input) operands[key] = { values: valuesOf(input), shape: input.shape };
        }
        const output = kernel.compute(operands as Inputs, attrs as object as Attributes);
        const results = Array.isArray(output) ? output : [output];
        return results.map(({ values, shape }) => ({
          dataId: (backend as KernelBackend).write(values, [...shape], 'float32'),
          shape: [...shape],
          dtype: 'float32' as const,
        }));
      },
    });
  }
  if (!gradient) return;
  registerGradient({
    kernelName: name,
    inputsToSave: [...gradient.savedInputs],
    outputsToSave: [gradient.savesOutput ?? false],
    gradFunc: (dy, saved, attrs) => gradient.backward(dy as Tensor, saved, attrs as object as Attributes),
  });
}

/**
 * Runs a registered kernel on the current backend and puts it on the tape if there is one.
 * @throws OptionError where no backend with the kernel has been chosen by `ready()`.
 */
export function execute(kernel: string, inputs: Record<string, Tensor>, attributes: object): Tensor[] {
  const backend = engine().backendName;
  if (!backend || !getKernel(kernel, backend)) {
    throw new OptionError({
      thing: 'tfjs backend',
      found: backend ?? 'none',
      expected: `${BACKENDS.join(' or ')} (await ready() first)`,
      where: kernel,
    });
  }
  // tfjs types attributes as plain values, but passes any object through untouched
  const attrs = attributes as Parameters<ReturnType<typeof engine>['runKernel']>[2];
  return engine().runKernel<Tensor[]>(kernel, inputs, attrs);
}

/** Keeps the cpu backend from printing, at its first tensor, that it is the cpu backend. */
export function silenceCpuBanner(): void {
  const backend: object | null = engine().findBackend('cpu');
  if (backend && 'firstUse' in backend) backend.firstUse = false;
}
