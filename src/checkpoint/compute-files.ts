import { CheckpointError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import { formName, type StorageForm } from '../matrix/form.js';
import type { MatrixStorage } from '../matrix/storage.js';
import type { CheckpointFiles } from './checkpoint-files.js';
import {
  ARRAY_ALIGNMENT,
  LAYOUT_KEY,
  matrixArrays,
  paddedLength,
  readLayoutMetadata,
  vectorArray,
  type ArrayName,
  type ComputeArray,
  type PackedSizes,
} from './compute-layout.js';
import { describe } from './json.js';
import type { CheckpointTensor, ModuleFiles } from './module-files.js';
import { nearNames, type ModuleSpec } from './names.js';
import type { SafetensorsFile } from './safetensors.js';
import { asTensor, SafetensorsFiles } from './safetensors-files.js';
import type { TensorInfo } from './tensor-info.js';

/** Of the arrays of a module. */
type Elements = Uint8Array | Uint16Array | Float32Array;

const ARRAYS: readonly ArrayName[] = ['codes', 'scales', 'zeros', 'offsets', 'weight', 'bias'];

const FLOATS = { F16: 'f16', BF16: 'bf16', F32: 'f32' } as const;

/** Whether these files hold a model in compute layout, of whatever version. */
export const isComputeLayout = ({ files }: CheckpointFiles): boolean =>
  files.some(({ metadata }) => metadata.has(LAYOUT_KEY));

/** A safetensors file in compute layout (see `compute-layout.ts`). Where it is mapped, what it gives are views of it. */
export class ComputeFiles extends SafetensorsFiles implements ModuleFiles {
  readonly format = 'compute';
  readonly #file: SafetensorsFile;
  readonly #packed: ReadonlyMap<string, PackedSizes>;

  /** @throws CheckpointError for another version of the layout, and metadata that cannot be. */
  constructor(files: CheckpointFiles) {
    super(files);
    const [file, ...others] = files.files;
    if (others.length > 0) {
      const found = `${files.files.length} files`;
      throw new CheckpointError({ thing: 'model in compute layout', found, expected: 'one file', where: files.folder });
    }
    this.#file = file;
    this.#packed = readLayoutMetadata(file.metadata, file.path);
  }

  tensorsOf(module: string): CheckpointTensor[] {
    const infos = ARRAYS.map((array) => this.#find(module, array));
    return infos.filter((info) => info !== undefined).map((info) => asTensor({ info, file: this.#file }));
  }

  hasBias(module: string): boolean {
    return this.#find(module, 'bias') !== undefined;
  }

  isPacked(module: string): boolean {
    return this.#packed.has(module);
  }

  check({ name, kind, shape: [out, input], bias }: ModuleSpec): void {
    if (kind === 'norm') return this.#check(name, vectorArray('weight', out));
    for (const array of matrixArrays(this.#formOf(name), out, input)) this.#check(name, array);
    if (bias || this.hasBias(name)) this.#check(name, vectorArray('bias', out));
  }

  precisionOf({ name }: ModuleSpec): string {
    return formName(this.#formOf(name));
  }

  formOf({ name }: ModuleSpec): StorageForm {
    return this.#formOf(name);
  }

  async matrix({ name, shape: [outFeatures, inFeatures] }: ModuleSpec, breathe: Breathe): Promise<MatrixStorage> {
    const form = this.#formOf(name);
    const parts = new Map<ArrayName, Elements>();
    for (const array of matrixArrays(form, outFeatures, inFeatures)) {
      parts.set(array.array, await this.#read(name, array, breathe));
    }
    if (form.kind === 'dense') {
      return { kind: 'dense', dtype: form.dtype, outFeatures, inFeatures, values: parts.get('weight') as Uint16Array };
    }
    const { bits, groupSize } = form;
    return {
      kind: 'packed',
      bits,
      outFeatures,
      inFeatures,
      groupSize,
      codes: parts.get('codes') as Uint8Array,
      scales: parts.get('scales') as Uint16Array | Float32Array,
      zeros: (parts.get('zeros') as Uint8Array | undefined) ?? null,
      offsets: (parts.get('offsets') as Uint16Array | Float32Array | undefined) ?? null,
    };
  }

  async bias({ name, shape: [out] }: ModuleSpec, breathe: Breathe): Promise<Float32Array | null> {
    return this.hasBias(name) ? ((await this.#read(name, vectorArray('bias', out), breathe)) as Float32Array) : null;
  }

  async gain({ name, shape: [size] }: ModuleSpec, breathe: Breathe): Promise<Float32Array> {
    return (await this.#read(name, vectorArray('weight', size), breathe)) as Float32Array;
  }

  #formOf(module: string): StorageForm {
    const sizes = this.#packed.get(module);
    const { dtype } = this.#get(module, sizes ? 'scales' : 'weight');
    const isFloat = dtype === 'F16' || dtype === 'F32' || (!sizes && dtype === 'BF16');
    if (!isFloat) {
      const expected = sizes ? 'F16 or F32' : 'F16, BF16 or F32';
      throw new CheckpointError({ thing: 'dtype', found: dtype, expected, where: this.#where(module) });
    }
    if (!sizes) return { kind: 'dense', dtype: FLOATS[dtype] };
    const [zeros, offsets] = [this.#find(module, 'zeros'), this.#find(module, 'offsets')].map((info) => info !== undefined);
    if (zeros && offsets) {
      const expected = 'one of them at most';
      throw new CheckpointError({ thing: 'decode rule', found: 'zeros and offsets', expected, where: this.#where(module) });
    }
    return { kind: 'packed', ...sizes, scales: dtype === 'F16' ? 'f16' : 'f32', zeros, offsets };
  }

  /** Dtype and length; and where it starts, without which arrays would be copied, or read slowly. */
  #check(module: string, array: ComputeArray): void {
    const { name, dtype, shape, offset } = this.#get(module, array.array);
    const where = `${this.#file.path}, tensor ${describe(name)}`;
    const length = paddedLength(array);
    if (dtype !== array.dtype) throw new CheckpointError({ thing: 'dtype', found: dtype, expected: array.dtype, where });
    if (shape.length !== 1 || shape[0] !== length) {
      const expected = `[${length}]: ${array.length} elements, filled up to a multiple of ${ARRAY_ALIGNMENT} bytes`;
      throw new CheckpointError({ thing: 'shape', found: `[${shape.join(', ')}]`, expected, where });
    }
    if (offset % ARRAY_ALIGNMENT !== 0) {
      const expected = `a multiple of ${ARRAY_ALIGNMENT}`;
      throw new CheckpointError({ thing: 'start of a tensor', found: `byte ${offset}`, expected, where });
    }
  }

  async #read(module: string, { array, length }: ComputeArray, breathe: Breathe): Promise<Elements> {
    const elements = await this.#file.read(this.#get(module, array).name, breathe);
    return (elements as Elements).subarray(0, length);
  }

  #find(module: string, array: ArrayName): TensorInfo | undefined {
    return this.files.tensors.get(`${module}.${array}`)?.info;
  }

  #get(module: string, array: ArrayName): TensorInfo {
    const info = this.#find(module, array);
    if (info) return info;
    const name = `${module}.${array}`;
    const expected = `that tensor; nearest: ${nearNames(name, this.files.tensors.keys())}`;
    throw new CheckpointError({ thing: `tensor ${name}`, found: 'nothing', expected, where: this.#file.path });
  }

  #where(module: string): string {
    return `${this.#file.path}, ${describe(module)}`;
  }
}
