import { ShapeError } from '../base/errors.js';
import type { StorageForm } from '../matrix/form.js';
import type { MatrixStorage } from '../matrix/storage.js';
import type { CheckpointLinear } from './checkpoint.js';
import { layoutMetadata, matrixArrays, paddedLength, vectorArray, type ArrayName, type ComputeArray, type PackedSizes } from './compute-layout.js';
import { DTYPE_BITS } from './tensor-info.js';
import type { WriteOptions } from './whole-file.js';
import { writeSafetensors, type TensorToWrite } from './write-safetensors.js';

/** A module for `writeComputeFile`; its arrays are asked for when their turn comes. */
export type ModuleToWrite = MatrixToWrite | GainToWrite;

export interface MatrixToWrite {
  readonly kind: 'matrix';
  /** "model.layers.0.self_attn.q_proj" */
  readonly name: string;
  readonly outFeatures: number;
  readonly inFeatures: number;
  /** What `read` is going to give. */
  readonly form: StorageForm;
  readonly hasBias: boolean;
  readonly read: () => Promise<CheckpointLinear>;
}

export interface GainToWrite {
  readonly kind: 'norm';
  readonly name: string;
  readonly size: number;
  readonly read: () => Promise<Float32Array>;
}

/**
 * Writes a safetensors file in compute layout (see `compute-layout.ts`), modules in the order given: that of a pass lets
 * a cold file be read from its start to its end. One module at a time is in memory.
 */
export async function writeComputeFile(
  path: string,
  modules: readonly ModuleToWrite[],
  about: Readonly<Record<string, string>> = {},
  options: WriteOptions = {},
): Promise<void> {
  const packed = new Map<string, PackedSizes>();
  for (const module of modules) {
    if (module.kind === 'matrix' && module.form.kind === 'packed') packed.set(module.name, module.form);
  }
  const tensors = modules.flatMap((module) => (module.kind === 'norm' ? [gainTensor(module)] : matrixTensors(module)));
  await writeSafetensors(path, tensors, { ...about, ...layoutMetadata(packed) }, { ...options, order: 'given' });
}

function gainTensor({ name, size, read }: GainToWrite): TensorToWrite {
  return tensor(name, vectorArray('weight', size), read);
}

function matrixTensors({ name, outFeatures, inFeatures, form, hasBias, read }: MatrixToWrite): TensorToWrite[] {
  const arrays = [...matrixArrays(form, outFeatures, inFeatures), ...(hasBias ? [vectorArray('bias', outFeatures)] : [])];
  let linear: CheckpointLinear | null = null;
  return arrays.map((array, i) =>
    tensor(name, array, async () => {
      const { weight, bias } = (linear ??= await read());
      if (i === arrays.length - 1) linear = null;
      return partOf(array.array, weight, bias);
    }),
  );
}

function partOf(array: ArrayName, weight: MatrixStorage, bias: Float32Array | null): ArrayBufferView | null {
  if (array === 'bias') return bias;
  if (weight.kind === 'dense') return array === 'weight' ? weight.values : null;
  return array === 'weight' ? null : weight[array];
}

/** An array as a tensor of a file, filled up with zeros. */
function tensor(module: string, array: ComputeArray, read: () => Promise<ArrayBufferView | null>): TensorToWrite {
  const { dtype, length } = array;
  const name = `${module}.${array.array}`;
  const bytes = (elements: number): number => (elements * DTYPE_BITS[dtype]) / 8;
  const padded = paddedLength(array);
  return {
    name,
    dtype,
    shape: [padded],
    data: async () => {
      const view = await read();
      if (view?.byteLength !== bytes(length)) {
        throw new ShapeError({ thing: `bytes of ${name}`, found: view?.byteLength ?? 0, expected: bytes(length) });
      }
      if (padded === length) return view;
      const filled = new Uint8Array(bytes(padded));
      filled.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
      return filled;
    },
  };
}
