import { CheckpointError } from '../base/errors.js';
import { breather, type Breathe } from '../base/event-loop.js';
import { bf16ArrayToF32, f16ArrayToF32 } from '../base/float16.js';
import type { DenseStorage } from '../matrix/storage.js';
import type { AwqParts, PackedPart } from './awq.js';
import type { CheckpointFiles, LocatedTensor } from './checkpoint-files.js';
import { describe } from './json.js';
import { nearNames } from './names.js';
import type { Dtype } from './tensor-info.js';

const ELEMENTS_PER_BREATH = 2 ** 20;

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

  /** A float tensor [length] as float32. */
  async vector(name: string, length: number, breathe: Breathe = breather()): Promise<Float32Array> {
    const { file, info } = this.requireFloats(name, [length]);
    const elements = await file.read(info.name, breathe);
    if (elements instanceof Uint16Array) {
      return info.dtype === 'BF16' ? bf16ArrayToF32(elements) : f16ArrayToF32(elements);
    }
    return Float32Array.from(elements as Float32Array | Float64Array);
  }

  /** A float matrix as stored; float64 becomes float32. */
  async dense(
    name: string,
    [outFeatures, inFeatures]: readonly number[],
    breathe: Breathe = breather(),
  ): Promise<DenseStorage> {
    const { file, info } = this.requireFloats(name, [outFeatures, inFeatures]);
    const elements = await file.read(info.name, breathe);
    const shared = { kind: 'dense', outFeatures, inFeatures } as const;
    if (elements instanceof Uint16Array)
      return { ...shared, dtype: info.dtype === 'BF16' ? 'bf16' : 'f16', values: elements };
    if (elements instanceof Float32Array) return { ...shared, dtype: 'f32', values: elements };
    return { ...shared, dtype: 'f32', values: await rounded(elements as Float64Array, breathe) };
  }

  /** The tensors of a packed linear layer. */
  packed(module: string): AwqParts {
    const part = (name: string): PackedPart => {
      const { file, info } = this.get(name);
      return {
        dtype: info.dtype,
        shape: info.shape,
        where: this.where(name),
        read: (breathe) => file.read(info.name, breathe),
      };
    };
    const zeros = `${module}.qzeros`;
    return {
      qweight: part(`${module}.qweight`),
      scales: part(`${module}.scales`),
      qzeros: this.has(zeros) ? part(zeros) : null,
    };
  }
}

/** Float64 as float32, to nearest. */
async function rounded(values: Float64Array, breathe: Breathe): Promise<Float32Array> {
  const result = new Float32Array(values.length);
  for (let at = 0; at < values.length; at += ELEMENTS_PER_BREATH) {
    await breathe();
    result.set(values.subarray(at, at + ELEMENTS_PER_BREATH), at);
  }
  return result;
}
