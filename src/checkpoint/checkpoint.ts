import { CheckpointError, DisposedError } from '../base/errors.js';
import { breather, type Breathe } from '../base/event-loop.js';
import { log } from '../base/logger.js';
import type { DenseStorage, MatrixStorage } from '../matrix/storage.js';
import { awqLayout, unpackAwq, type AwqSizes } from './awq.js';
import { openFiles, type CheckpointFiles, type LocatedTensor, type OpenFilesOptions } from './checkpoint-files.js';
import type { LlamaConfig } from './config.js';
import { hashCheckpoint } from './hash.js';
import { EMBEDDING, layerModules, LM_HEAD, nearNames, outerModules, type ModuleSpec } from './names.js';
import { readConfig } from './read-config.js';
import type { Dtype } from './tensor-info.js';
import { TensorTable } from './tensor-table.js';

/** A tensor of a checkpoint, by the name that its file gives it. */
export interface CheckpointTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly file: string;
}

/** A linear layer as `Checkpoint` gives it: y = W·x + bias. */
export interface CheckpointLinear {
  readonly weight: MatrixStorage; // [out, in]
  readonly bias: Float32Array | null; // [out]
}

/**
 * A LLaMA's files, open: config and headers are read and checked against each other, weights are read when asked for.
 * Names are those of Hugging Face ("model.layers.0.self_attn.q_proj"), whatever the files call them.
 */
export class Checkpoint {
  /** The folder. */
  readonly path: string;
  readonly config: LlamaConfig;
  readonly tensors: readonly CheckpointTensor[];
  readonly #files: CheckpointFiles;
  readonly #table: TensorTable;
  readonly #modules = new Map<string, ModuleSpec>();
  #closed = false;

  /** Use `openCheckpoint`. @throws CheckpointError if a tensor is missing or its shape is not what the config says. */
  constructor(config: LlamaConfig, files: CheckpointFiles) {
    this.path = files.folder;
    this.#files = files;
    this.#table = new TensorTable(files);
    this.tensors = [...files.tensors.values()].map(asTensor);
    this.config = config;
    this.#checkModules();
  }

  /** The modules of the model, in the order of a pass, and the shapes of their weights. */
  get modules(): ModuleSpec[] {
    return [...this.#modules.values()];
  }

  /** A linear layer by its module's name, packed or dense as its tensors are. @throws CheckpointError */
  async linear(name: string, breathe: Breathe = breather()): Promise<CheckpointLinear> {
    const spec = this.#module(name, 'linear');
    const bias = `${name}.bias`;
    return {
      weight: this.isPacked(name)
        ? await unpackAwq(this.#table.packed(name), this.#sizes(spec), breathe)
        : await this.#table.dense(`${name}.weight`, spec.shape, breathe),
      bias: this.#table.has(bias) ? await this.#table.vector(bias, spec.shape[0], breathe) : null,
    };
  }

  /** Whether a linear layer is held in packed form. */
  isPacked(name: string): boolean {
    this.#requireOpen();
    return this.#table.has(`${name}.qweight`);
  }

  /** The tensors of a module, as they are in the files. */
  tensorsOf(module: string): CheckpointTensor[] {
    const names = ['weight', 'qweight', 'qzeros', 'scales', 'bias'].map((part) => `${module}.${part}`);
    return names.filter((name) => this.#table.has(name)).map((name) => asTensor(this.#table.get(name)));
  }

  /** A tensor's bytes as they are in its file, whatever its dtype. Not to be written to. */
  async bytesOf({ name, file: path }: CheckpointTensor, breathe: Breathe = breather()): Promise<Uint8Array> {
    this.#requireOpen();
    const file = this.#files.files.find((candidate) => candidate.path === path);
    if (!file)
      throw new CheckpointError({
        thing: 'file',
        found: path,
        expected: 'a file of this checkpoint',
        where: this.path,
      });
    const { offset, bytes } = file.info(name);
    return file.readBytes(offset, bytes, breathe);
  }

  /** A norm's gain as float32, by its tensor's name ("model.norm.weight"). */
  async vector(name: string, breathe: Breathe = breather()): Promise<Float32Array> {
    const { shape } = this.#module(name.replace(/\.weight$/, ''), 'norm');
    return this.#table.vector(name, shape[0], breathe);
  }

  /** The embedding [vocab, d_model]; where a file has it as lm_head alone, that one. */
  async embedding(breathe: Breathe = breather()): Promise<DenseStorage> {
    this.#requireOpen();
    return this.#table.dense(`${this.#embeddingModule}.weight`, outerModules(this.config).embedding.shape, breathe);
  }

  /** The output matrix [vocab, d_model], or null if that is the embedding: see `config.tieWordEmbeddings`. */
  async lmHead(breathe: Breathe = breather()): Promise<CheckpointLinear | null> {
    return this.config.tieWordEmbeddings ? null : this.linear(LM_HEAD, breathe);
  }

  /** A hash of the contents, for run records; see `hashCheckpoint`. */
  async hash(): Promise<string> {
    this.#requireOpen();
    return hashCheckpoint(this.#files);
  }

  /** Closes the files. Arrays that were read stay valid. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#files.files.map((file) => file.close()));
  }

  /** Files of tied models hold the one matrix under either name. */
  get #embeddingModule(): string {
    const onlyHead = !this.#table.has(`${EMBEDDING}.weight`) && this.#table.has(`${LM_HEAD}.weight`);
    return this.config.tieWordEmbeddings && onlyHead ? LM_HEAD : EMBEDDING;
  }

  #checkModules(): void {
    const { config } = this;
    const outer = outerModules(config);
    // Layer by layer, so that a config which promises thousands of layers fails at the first that is not there.
    this.#table.requireFloats(`${this.#embeddingModule}.weight`, outer.embedding.shape);
    this.#modules.set(outer.embedding.name, outer.embedding);
    for (let i = 0; i < config.numHiddenLayers; i++) {
      for (const spec of layerModules(config, i)) this.#check(spec);
    }
    this.#check(outer.norm);
    if (!config.tieWordEmbeddings) this.#checkHead(outer.lmHead);
    if (this.#table.has(`model.layers.${config.numHiddenLayers}.input_layernorm.weight`)) {
      log('warn', `${this.path} has more layers than the ${config.numHiddenLayers} of its config; they are left out`);
    }
  }

  #checkHead(spec: ModuleSpec): void {
    if (!this.#table.has(`${LM_HEAD}.weight`) && !this.#table.has(`${LM_HEAD}.qweight`)) {
      const expected = 'that tensor, or "tie_word_embeddings": true in config.json';
      throw new CheckpointError({ thing: `tensor ${LM_HEAD}.weight`, found: 'nothing', expected, where: this.path });
    }
    this.#check(spec);
  }

  #check(spec: ModuleSpec): void {
    const { name, shape, bias } = spec;
    if (spec.kind === 'linear' && this.#table.has(`${name}.qweight`)) this.#checkPacked(spec);
    else this.#table.requireFloats(`${name}.weight`, shape);
    if (bias || this.#table.has(`${name}.bias`)) this.#table.requireFloats(`${name}.bias`, [shape[0]]);
    this.#modules.set(name, spec);
  }

  #checkPacked(spec: ModuleSpec): void {
    const { quantization } = this.config;
    const where = this.#table.where(`${spec.name}.qweight`);
    if (!quantization) {
      throw new CheckpointError({
        thing: 'quantization_config',
        found: 'none',
        expected: 'one, since a qweight is here',
        where,
      });
    }
    const parts = this.#table.packed(spec.name);
    if (!parts.qzeros && quantization.zeroPoint) {
      throw new CheckpointError({ thing: 'tensor', found: 'no qzeros', expected: 'qzeros beside qweight', where });
    }
    awqLayout(parts, this.#sizes(spec));
  }

  #sizes({ shape: [outFeatures, inFeatures] }: ModuleSpec): AwqSizes {
    return { outFeatures, inFeatures, groupSize: this.config.quantization?.groupSize ?? Infinity };
  }

  #module(name: string, kind: ModuleSpec['kind']): ModuleSpec {
    this.#requireOpen();
    const spec = this.#modules.get(name);
    if (spec?.kind === kind) return spec;
    const known = this.modules.filter((module) => module.kind === kind).map((module) => module.name);
    const expected = `such as ${nearNames(name, known)}`;
    throw new CheckpointError({
      thing: kind === 'norm' ? 'norm' : 'linear layer',
      found: name,
      expected,
      where: this.path,
    });
  }

  #requireOpen(): void {
    if (this.#closed)
      throw new DisposedError({ thing: 'checkpoint', found: 'closed', expected: 'open', where: this.path });
  }
}

const asTensor = ({ info: { name, dtype, shape, bytes }, file }: LocatedTensor): CheckpointTensor => ({
  name,
  dtype,
  shape,
  bytes,
  file: file.path,
});

/**
 * Opens a folder in Hugging Face's layout (or one safetensors file with a config.json beside it), reads its config and
 * headers, and checks that every tensor of the model is there with the right shape.
 * @throws CheckpointError naming file, tensor, found and expected.
 */
export async function openCheckpoint(path: string, options: OpenFilesOptions = {}): Promise<Checkpoint> {
  const files = await openFiles(path, options);
  try {
    return new Checkpoint(await readConfig(files.folder), files);
  } catch (error) {
    await Promise.all(files.files.map((file) => file.close()));
    throw error;
  }
}
