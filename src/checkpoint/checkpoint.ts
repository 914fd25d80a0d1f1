import { CheckpointError, DisposedError } from '../base/errors.js';
import { breather, type Breathe } from '../base/event-loop.js';
import { log } from '../base/logger.js';
import { formBytes, type StorageForm } from '../matrix/form.js';
import type { MatrixStorage } from '../matrix/storage.js';
import { openFiles, type OpenFilesOptions } from './checkpoint-files.js';
import { ComputeFiles, isComputeLayout } from './compute-files.js';
import type { LlamaConfig } from './config.js';
import type { GgufMetadata } from './gguf-metadata.js';
import { isGguf, openGguf } from './gguf-modules.js';
import { HuggingFaceFiles } from './hugging-face-files.js';
import type { CheckpointTensor, FileFormat, ModuleFiles } from './module-files.js';
import { layerModules, LM_HEAD, nearNames, outerModules, type ModuleSpec } from './names.js';
import { readConfig } from './read-config.js';

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
  /** The folder, or the file where the model is one. */
  readonly path: string;
  readonly format: FileFormat;
  readonly config: LlamaConfig;
  readonly tensors: readonly CheckpointTensor[];
  /** Of a GGUF file, which holds the tokenizer too. */
  readonly metadata: GgufMetadata | null;
  readonly #files: ModuleFiles;
  readonly #modules = new Map<string, ModuleSpec>();
  #closed = false;

  /** Use `openCheckpoint`. @throws CheckpointError if a tensor is missing or its shape is not what the config says. */
  constructor(config: LlamaConfig, files: ModuleFiles, metadata: GgufMetadata | null = null) {
    this.path = files.path;
    this.format = files.format;
    this.metadata = metadata;
    this.#files = files;
    this.tensors = files.tensors;
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
    return { weight: await this.#files.matrix(spec, breathe), bias: await this.#files.bias(spec, breathe) };
  }

  /** Whether a matrix is held in packed form. */
  isPacked(name: string): boolean {
    this.#requireOpen();
    return this.#files.isPacked(name);
  }

  /** How the file has a matrix: "int4 g128", "bf16". */
  precisionOf(spec: ModuleSpec): string {
    return this.#files.precisionOf(spec);
  }

  /** What a matrix is going to be once it is read. */
  formOf(spec: ModuleSpec): StorageForm {
    return this.#files.formOf(spec);
  }

  /** Bytes that a module takes once it is loaded, its bias included. */
  memoryBytes(spec: ModuleSpec): number {
    const [out, input] = spec.shape;
    if (spec.kind === 'norm') return 4 * out;
    return formBytes(this.formOf(spec), out, input) + (this.hasBias(spec.name) ? 4 * out : 0);
  }

  /** The tensors of a module, as they are in the files. */
  tensorsOf(module: string): CheckpointTensor[] {
    return this.#files.tensorsOf(module);
  }

  /** Whether a module's bias is in the files. */
  hasBias(module: string): boolean {
    return this.#files.hasBias(module);
  }

  /** A tensor's bytes as they are in its file, whatever its dtype. Not to be written to. */
  async bytesOf(tensor: CheckpointTensor, breathe: Breathe = breather()): Promise<Uint8Array> {
    this.#requireOpen();
    return this.#files.bytesOf(tensor, breathe);
  }

  /** A norm's gain as float32, by its tensor's name ("model.norm.weight"). */
  async vector(name: string, breathe: Breathe = breather()): Promise<Float32Array> {
    return this.#files.gain(this.#module(name.replace(/\.weight$/, ''), 'norm'), breathe);
  }

  /** The embedding [vocab, d_model]; where a file has it as lm_head alone, that one. */
  async embedding(breathe: Breathe = breather()): Promise<MatrixStorage> {
    this.#requireOpen();
    return this.#files.matrix(outerModules(this.config).embedding, breathe);
  }

  /** The output matrix [vocab, d_model], or null if that is the embedding: see `config.tieWordEmbeddings`. */
  async lmHead(breathe: Breathe = breather()): Promise<CheckpointLinear | null> {
    return this.config.tieWordEmbeddings ? null : this.linear(LM_HEAD, breathe);
  }

  /** A hash of the contents, for run records; see `hashCheckpoint`. */
  async hash(): Promise<string> {
    this.#requireOpen();
    return this.#files.hash();
  }

  /** Closes the files. Arrays that were read stay valid. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#files.close();
  }

  #checkModules(): void {
    const { config } = this;
    const outer = outerModules(config);
    // Layer by layer, so that a config which promises thousands of layers fails at the first that is not there.
    this.#check(outer.embedding);
    for (let i = 0; i < config.numHiddenLayers; i++) {
      for (const spec of layerModules(config, i)) this.#check(spec);
    }
    this.#check(outer.norm);
    if (!config.tieWordEmbeddings) this.#checkHead(outer.lmHead);
    if (this.tensorsOf(`model.layers.${config.numHiddenLayers}.input_layernorm`).length > 0) {
      log('warn', `${this.path} has more layers than the ${config.numHiddenLayers} of its config; they are left out`);
    }
  }

  #checkHead(spec: ModuleSpec): void {
    if (this.tensorsOf(LM_HEAD).length === 0) {
      const expected = 'that tensor, or "tie_word_embeddings": true in config.json';
      throw new CheckpointError({ thing: `tensor ${LM_HEAD}.weight`, found: 'nothing', expected, where: this.path });
    }
    this.#check(spec);
  }

  #check(spec: ModuleSpec): void {
    this.#files.check(spec);
    this.#modules.set(spec.name, spec);
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

/**
 * Opens a folder in Hugging Face's layout (or one safetensors file with a config.json beside it), or a GGUF file; reads
 * config and headers, and checks that every tensor of the model is there with the right shape.
 * @throws CheckpointError naming file, tensor, found and expected.
 */
export async function openCheckpoint(path: string, options: OpenFilesOptions = {}): Promise<Checkpoint> {
  if (await isGguf(path)) return openGgufCheckpoint(path, options);
  const files = await openFiles(path, options);
  try {
    const config = await readConfig(files.folder);
    return new Checkpoint(config, isComputeLayout(files) ? new ComputeFiles(files) : new HuggingFaceFiles(files, config));
  } catch (error) {
    await Promise.all(files.files.map((file) => file.close()));
    throw error;
  }
}

async function openGgufCheckpoint(path: string, options: OpenFilesOptions): Promise<Checkpoint> {
  const files = await openGguf(path, options);
  options.onProgress?.(1, 1);
  try {
    return new Checkpoint(files.config, files, files.metadata);
  } catch (error) {
    await files.close();
    throw error;
  }
}
