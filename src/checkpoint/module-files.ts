import type { Breathe } from '../base/event-loop.js';
import type { StorageForm } from '../matrix/form.js';
import type { MatrixStorage } from '../matrix/storage.js';
import type { GgmlTypeName } from './ggml-types.js';
import type { ModuleSpec } from './names.js';
import type { Dtype } from './tensor-info.js';

/** A tensor of a checkpoint, by the name that its file gives it. */
export interface CheckpointTensor {
  readonly name: string;
  /** As safetensors spells it, or GGUF's type. */
  readonly dtype: Dtype | GgmlTypeName;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly file: string;
}

/** 'safetensors': as Hugging Face has them; 'compute': a safetensors file of `nibblelens convert`. */
export type FileFormat = 'safetensors' | 'compute' | 'gguf';

/**
 * The open files of a checkpoint, as the modules of a model: what differs between formats ends behind this. Modules go by
 * the names of `names.ts`, whatever the files call them. Nothing of this size is read before it is asked for, and
 * arrays are not to be written to: they may lie in a mapped file.
 */
export interface ModuleFiles {
  readonly format: FileFormat;
  /** The folder, or the file where a model is one. */
  readonly path: string;
  readonly tensors: readonly CheckpointTensor[];
  /** The tensors of a module, as they are in the files; none where it is not there. */
  tensorsOf(module: string): CheckpointTensor[];
  /** Whether a module's bias is there. */
  hasBias(module: string): boolean;
  /** Whether a module's matrix is held in packed form. */
  isPacked(module: string): boolean;
  /** Checks from headers alone what a module is made of. @throws CheckpointError if it cannot be what the spec says. */
  check(spec: ModuleSpec): void;
  /** Of a matrix that was checked: how its file has it, such as "int4 g128", "q6_k" or "bf16". */
  precisionOf(spec: ModuleSpec): string;
  /** Of a matrix that was checked: what `matrix` is going to give, told before anything is read. */
  formOf(spec: ModuleSpec): StorageForm;
  matrix(spec: ModuleSpec, breathe: Breathe): Promise<MatrixStorage>;
  /** Null where there is none. */
  bias(spec: ModuleSpec, breathe: Breathe): Promise<Float32Array | null>;
  /** A norm's. */
  gain(spec: ModuleSpec, breathe: Breathe): Promise<Float32Array>;
  /** A tensor's bytes as they are in its file, whatever its dtype. */
  bytesOf(tensor: CheckpointTensor, breathe: Breathe): Promise<Uint8Array>;
  /** Of the contents, for run records; see `hashFiles`. */
  hash(): Promise<string>;
  /** Arrays that were read stay valid. */
  close(): Promise<void>;
}
