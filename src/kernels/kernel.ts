import type { Tensor } from '@tensorflow/tfjs-core';

/** An array in row-major order with its shape, as kernels take and give them. Arrays are shared: none is written twice. */
export interface Operand<Values extends Float32Array | Int32Array = Float32Array> {
  readonly values: Values;
  readonly shape: readonly number[];
}

/**
 * A kernel for tfjs, the same on every backend. Arguments are checked by the op that calls it. What is no activation
 * (matrices, gains, tables, the cache) is an attribute.
 */
export interface Kernel<Inputs extends object, Attributes extends object = object> {
  readonly name: string;
  compute(inputs: Inputs, attributes: Attributes): Operand | Operand[];
  /** Absent where no input is a float, and in kernels that are gradients themselves. */
  readonly gradient?: KernelGradient<keyof Inputs & string, Attributes>;
}

/** How a kernel's gradient comes from that of its output. */
export interface KernelGradient<InputName extends string, Attributes extends object> {
  /** Inputs that `backward` finds in `saved`, in this order. */
  readonly savedInputs: readonly InputName[];
  /** Whether the output follows them there. */
  readonly savesOutput?: boolean;
  /**
   * The gradients by each input. Where one kernel gives several, it runs at once: tfjs disposes of what a function in
   * the result makes beside its own gradient.
   */
  backward(dy: Tensor, saved: readonly Tensor[], attributes: Attributes): Record<InputName, () => Tensor>;
}

/** Rows of a tensor whose last axis has `columns` entries. */
export const rowsOf = ({ values }: Operand, columns: number): number => values.length / columns;

/** Columns of a tensor: its last axis. */
export const columnsOf = ({ shape }: Operand): number => shape[shape.length - 1];
