import { CheckpointError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import type { DenseForm, StorageForm } from '../matrix/form.js';
import type { MatrixStorage } from '../matrix/storage.js';
import { awqLayout, unpackAwq, type AwqSizes } from './awq.js';
import type { CheckpointFiles } from './checkpoint-files.js';
import type { LlamaConfig } from './config.js';
import type { CheckpointTensor, ModuleFiles } from './module-files.js';
import { EMBEDDING, LM_HEAD, type ModuleSpec } from './names.js';
import { asTensor, SafetensorsFiles } from './safetensors-files.js';
import type { Dtype } from './tensor-info.js';
import { TensorTable } from './tensor-table.js';

/** What is not kept as it is in the file becomes float32. */
const DENSE_AS: Readonly<Partial<Record<Dtype, DenseForm['dtype']>>> = { F16: 'f16', BF16: 'bf16' };

const PARTS = ['weight', 'qweight', 'qzeros', 'scales', 'bias'];

/** Safetensors files as transformers writes them: float tensors, or an AWQ layer's codes, zero points and scales. */
export class HuggingFaceFiles extends SafetensorsFiles implements ModuleFiles {
  readonly format = 'safetensors';
  readonly #config: LlamaConfig;
  readonly #table: TensorTable;
  /** Files of tied models hold the one matrix under either name. */
  readonly #embedding: string;

  constructor(files: CheckpointFiles, config: LlamaConfig) {
    super(files);
    this.#config = config;
    this.#table = new TensorTable(files);
    const onlyHead = !this.#table.has(`${EMBEDDING}.weight`) && this.#table.has(`${LM_HEAD}.weight`);
    this.#embedding = config.tieWordEmbeddings && onlyHead ? LM_HEAD : EMBEDDING;
  }

  tensorsOf(module: string): CheckpointTensor[] {
    const names = PARTS.map((part) => `${this.#nameOf(module)}.${part}`);
    return names.filter((name) => this.#table.has(name)).map((name) => asTensor(this.#table.get(name)));
  }

  hasBias(module: string): boolean {
    return this.#table.has(`${module}.bias`);
  }

  isPacked(module: string): boolean {
    return this.#table.has(`${module}.qweight`);
  }

  check(spec: ModuleSpec): void {
    const { name, shape, bias } = spec;
    if (spec.kind === 'linear' && this.isPacked(name)) this.#checkPacked(spec);
    else this.#table.requireFloats(`${this.#nameOf(name)}.weight`, shape);
    if (bias || this.hasBias(name)) this.#table.requireFloats(`${name}.bias`, [shape[0]]);
  }

  precisionOf({ name, shape: [, input] }: ModuleSpec): string {
    return this.isPacked(name) ? `int4 g${Math.min(this.#groupSize, input)}` : this.#dtypeOf(name).toLowerCase();
  }

  formOf({ name, shape: [, input] }: ModuleSpec): StorageForm {
    if (!this.isPacked(name)) return { kind: 'dense', dtype: DENSE_AS[this.#dtypeOf(name)] ?? 'f32' };
    const { scales, qzeros } = this.#table.packed(name);
    return {
      kind: 'packed',
      bits: 4,
      groupSize: Math.min(this.#groupSize, input),
      scales: scales.dtype === 'F16' ? 'f16' : 'f32',
      zeros: qzeros?.dtype === 'I32',
      offsets: qzeros !== null && qzeros.dtype !== 'I32',
    };
  }

  async matrix(spec: ModuleSpec, breathe: Breathe): Promise<MatrixStorage> {
    const { name, shape } = spec;
    if (this.isPacked(name)) return unpackAwq(this.#table.packed(name), this.#sizes(spec), breathe);
    return this.#table.dense(`${this.#nameOf(name)}.weight`, shape, breathe);
  }

  async bias({ name, shape: [out] }: ModuleSpec, breathe: Breathe): Promise<Float32Array | null> {
    return this.hasBias(name) ? this.#table.vector(`${name}.bias`, out, breathe) : null;
  }

  async gain({ name, shape: [size] }: ModuleSpec, breathe: Breathe): Promise<Float32Array> {
    return this.#table.vector(`${name}.weight`, size, breathe);
  }

  #nameOf(module: string): string {
    return module === EMBEDDING ? this.#embedding : module;
  }

  get #groupSize(): number {
    return this.#config.quantization?.groupSize ?? Infinity;
  }

  #sizes({ shape: [outFeatures, inFeatures] }: ModuleSpec): AwqSizes {
    return { outFeatures, inFeatures, groupSize: this.#groupSize };
  }

  #checkPacked(spec: ModuleSpec): void {
    const { quantization } = this.#config;
    const where = this.#table.where(`${spec.name}.qweight`);
    if (!quantization) {
      const expected = 'one, since a qweight is here';
      throw new CheckpointError({ thing: 'quantization_config', found: 'none', expected, where });
    }
    const parts = this.#table.packed(spec.name);
    if (!parts.qzeros && quantization.zeroPoint) {
      throw new CheckpointError({ thing: 'tensor', found: 'no qzeros', expected: 'qzeros beside qweight', where });
    }
    awqLayout(parts, this.#sizes(spec));
  }

  #dtypeOf(module: string): Dtype {
    return this.#table.get(`${this.#nameOf(module)}.weight`).info.dtype;
  }
}
