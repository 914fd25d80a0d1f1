import { CheckpointError } from '../base/errors.js';
import { bf16ArrayToF32, f16ArrayToF32 } from '../base/float16.js';
import type { DenseStorage } from '../matrix/storage.js';
import type { AwqParts, PackedPart } from './awq.js';
import type { CheckpointFiles, LocatedTensor } from './checkpoint-files.js';
import { describe } from './json.js';
import { nearNames } from './names.js';
import type { Dtype } from './tensor-info.js';

const FLOATS: readonly Dtype[] = ['F32', 'F16', 'BF16', 'F64'];

/** The tensors of a checkpoint by this library's names, with checks and conversions for what models are made of. */
export class TensorTable {
  readonly #files: CheckpointFiles;

  constructor(files: CheckpointFiles) {
    this.#files = files;
  }

  has(name: string): boolean {
    return this.#files.tensors.has(name);
  }

  /** @throws CheckpointError if there is no such tensor. */
  get(name: string): LocatedTensor {
    const located = this.#files.tensors.get(name);
    if (located) return located;
    const expected = `that tensor; nearest: ${nearNames(name, this.#files.tensors.keys())}`;
    throw new CheckpointError({ thing: `tensor ${name}`, found: 'nothing', expected, where: this.#files.folder });
  }

  where(name: string): string {
    const { file, info } = this.get(name);
    return `${file.path}, tensor ${describe(info.name)}`;
  }

  /** Checks that a tensor is there, of a float dtype, and of this shape. */
  requireFloats(name: string, shape: readonly number[]): LocatedTensor {
    const located = this.get(name);
    const { info } = located;
    if (!FLOATS.includes(info.dtype)) {
      throw new CheckpointError({
        thing: 'dtype',
        found: info.dtype,
        expected: FLOATS.join(' or '),
        where: this.where(name),
      });
    }
    if (info.shape.length !== shape.length || info.shape.some((size, i) => size !== shape[i])) {
      const [found, expected] = [info.shape, shape].map((sizes) => `[${sizes.join(', ')}]`);
      throw new CheckpointError({
        thing: 'shape',
        found,
        expected: `${expected}, as config.json says`,
        where: this.where(name),
      });
    }
    return located;
  }

  /** A float tensor as float32. */
  vector(name: string, shape: readonly number[]): Float32Array {
    const { file, info } = this.requireFloats(name, shape);
    const elements = file.read(info.name);
    if (elements instanceof Uint16Array) {
      return info.dtype === 'BF16' ? bf16ArrayToF32(elements) : f16ArrayToF32(elements);
    }
    return Float32Array.from(elements as Float32Array | Float64Array);
  }

  /** A float matrix as stored; float64 becomes float32. */
  dense(name: string, [outFeatures, inFeatures]: readonly number[]): DenseStorage {
    const { file, info } = this.requireFloats(name, [outFeatures, inFeatures]);
    const elements = file.read(info.name);
    const shared = { kind: 'dense', outFeatures, inFeatures } as const;
    if (elements instanceof Uint16Array)
      return { ...shared, dtype: info.dtype === 'BF16' ? 'bf16' : 'f16', values: elements };
    if (elements instanceof Float32Array) return { ...shared, dtype: 'f32', values: elements };
    return { ...shared, dtype: 'f32', values: Float32Array.from(elements as Float64Array) };
  }

  /** The tensors of a packed linear layer. */
  packed(module: string): AwqParts {
    const part = (name: string): PackedPart => {
      const { file, info } = this.get(name);
      return { dtype: info.dtype, shape: info.shape, where: this.where(name), read: () => file.read(info.name) };
    };
    const zeros = `${module}.qzeros`;
    return {
      qweight: part(`${module}.qweight`),
      scales: part(`${module}.scales`),
      qzeros: this.has(zeros) ? part(zeros) : null,
    };
  }
}
