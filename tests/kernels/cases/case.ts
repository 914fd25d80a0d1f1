import fc from 'fast-check';
import type { Operand } from '../../../src/kernels/kernel.js';
import type { Floats } from '../../native/attention-support.js';
import { floats, oddSize, randoms, seed, shift } from '../../native/support.js';

/** One call of a kernel, and what must come of it. */
export interface KernelCase {
  readonly kernel: string;
  /** Views that start anywhere in their buffers, with NaN around them. */
  readonly inputs: Readonly<Record<string, Operand>>;
  readonly attributes: object;
  /** Of the output. */
  readonly shape: readonly number[];
  /** The output for values of the inputs in either precision: the kernel's equation, as plain loops in float64. */
  define(values: Readonly<Record<string, Floats>>): Float64Array;
  /** What the error of output `index` is relative to: the sum of the sizes of what is added up in it. */
  size(index: number): number;
  /** The TypeScript reference; absent where the kernel itself is TypeScript. */
  reference?(y: Float32Array): void;
  /** The reference of the gradient, where there is one. */
  referenceGradient?(dy: Float32Array): Readonly<Record<string, Float32Array>>;
}

export type Random = () => number;
export type Made = (random: Random, by: number) => KernelCase;

/** Cases of one kernel: a shape is drawn first, then the numbers. */
export interface KernelCases {
  readonly kernel: string;
  readonly cases: fc.Arbitrary<KernelCase>;
}

/** The cases of a kernel by how they are made. */
export const cases = (kernel: string, made: fc.Arbitrary<Made>): KernelCases => ({
  kernel,
  cases: fc.tuple(made, seed, shift).map(([make, from, by]) => make(randoms(from), by)),
});

export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

export const operand = (shape: readonly number[], random: Random, by: number): Operand => ({
  values: floats(sizeOf(shape), random, by),
  shape,
});

/** Shapes of one to three axes, the last of them of odd size. */
export const rowsShape = fc
  .tuple(fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 2 }), oddSize(300))
  .map(([outer, columns]) => [...outer, columns]);

/** |values| */
export const absolute = (values: Floats): Float64Array => Float64Array.from(values, Math.abs);
