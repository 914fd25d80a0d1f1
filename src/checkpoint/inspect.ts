import { basename } from 'node:path';
import { packedRowBytes } from '../matrix/planes.js';
import { groupsPerRow } from '../matrix/storage.js';
import { openCheckpoint, type Checkpoint, type CheckpointTensor } from './checkpoint.js';
import type { LlamaConfig } from './config.js';
import { EMBEDDING, LM_HEAD, type ModuleSpec } from './names.js';
import { elementCount, type Dtype } from './tensor-info.js';

/** A matrix of the model, and what it takes in its file. */
export interface MatrixSummary {
  readonly name: string;
  readonly shape: readonly [outFeatures: number, inFeatures: number];
  /** "int4 g128", or the dtype of a dense one. */
  readonly precision: string;
  /** In the file, with scales and zero points. */
  readonly bytes: number;
  readonly bitsPerWeight: number;
}

/** What `inspectCheckpoint` finds out; plain data, to be printed or written as JSON. */
export interface CheckpointSummary {
  readonly path: string;
  readonly config: LlamaConfig;
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  /** As in the files. */
  readonly tensors: readonly CheckpointTensor[];
  /** Linear layers and the embedding, in the order of a pass. */
  readonly matrices: readonly MatrixSummary[];
  /** Weights of the model; bytes and bits per weight of its matrices and norms in the files. */
  readonly totals: { readonly parameters: number; readonly bytes: number; readonly bitsPerWeight: number };
  /** In bytes: what the weights take once loaded, and 1,000 positions of a sequence in the KV cache (float32). */
  readonly memory: { readonly weights: number; readonly kvCachePer1000Tokens: number };
}

/**
 * Tells what a checkpoint is from its config and headers alone; nothing of its weights is read.
 * @throws CheckpointError as `openCheckpoint` does.
 */
export async function inspectCheckpoint(path: string): Promise<CheckpointSummary> {
  const checkpoint = await openCheckpoint(path, { load: 'copy' });
  try {
    return summarise(checkpoint);
  } finally {
    await checkpoint.close();
  }
}

function summarise(checkpoint: Checkpoint): CheckpointSummary {
  const { config, modules, tensors } = checkpoint;
  const matrices = modules.filter(({ kind }) => kind !== 'norm').map((spec) => summariseMatrix(checkpoint, spec));
  const parameters = modules.reduce((sum, spec) => sum + weightsOf(checkpoint, spec), 0);
  const bytes = modules.reduce((sum, { name }) => sum + fileBytes(checkpoint, name), 0);
  const files = new Map<string, number>();
  for (const tensor of tensors) files.set(tensor.file, (files.get(tensor.file) ?? 0) + tensor.bytes);
  return {
    path: checkpoint.path,
    config,
    files: [...files].map(([file, size]) => ({ name: basename(file), bytes: size })),
    tensors,
    matrices,
    totals: { parameters, bytes, bitsPerWeight: (8 * bytes) / parameters },
    memory: {
      weights: modules.reduce((sum, spec) => sum + memoryBytes(checkpoint, spec), 0),
      kvCachePer1000Tokens: 1000 * config.numHiddenLayers * 2 * config.numKeyValueHeads * config.headDim * 4,
    },
  };
}

/** Tensors of a module; those of an embedding that its file has as lm_head alone too. */
function tensorsOf(checkpoint: Checkpoint, module: string): CheckpointTensor[] {
  const own = checkpoint.tensorsOf(module);
  return own.length === 0 && module === EMBEDDING ? checkpoint.tensorsOf(LM_HEAD) : own;
}

const fileBytes = (checkpoint: Checkpoint, module: string): number =>
  tensorsOf(checkpoint, module).reduce((sum, { bytes }) => sum + bytes, 0);

function weightsOf(checkpoint: Checkpoint, { name, shape }: ModuleSpec): number {
  const biases = tensorsOf(checkpoint, name).filter((tensor) => tensor.name.endsWith('.bias'));
  return elementCount(shape) + biases.reduce((sum, tensor) => sum + elementCount(tensor.shape), 0);
}

function summariseMatrix(checkpoint: Checkpoint, { name, shape: [out, input] }: ModuleSpec): MatrixSummary {
  const stored = tensorsOf(checkpoint, name).filter((tensor) => !tensor.name.endsWith('.bias'));
  const bytes = stored.reduce((sum, tensor) => sum + tensor.bytes, 0);
  const precision = checkpoint.isPacked(name)
    ? `int4 g${groupSizeOf(checkpoint, input)}`
    : stored[0].dtype.toLowerCase();
  return { name, shape: [out, input], precision, bytes, bitsPerWeight: (8 * bytes) / (out * input) };
}

const groupSizeOf = ({ config }: Checkpoint, inFeatures: number): number =>
  Math.min(config.quantization?.groupSize ?? inFeatures, inFeatures);

/** Bytes that a module takes once loaded: packed matrices in compute layout 2, dense ones as stored, vectors in f32. */
function memoryBytes(checkpoint: Checkpoint, { name, kind, shape }: ModuleSpec): number {
  const tensors = tensorsOf(checkpoint, name);
  const vectors = tensors.filter((tensor) => kind === 'norm' || tensor.name.endsWith('.bias'));
  const vectorBytes = 4 * vectors.reduce((sum, tensor) => sum + elementCount(tensor.shape), 0);
  if (kind === 'norm') return vectorBytes;
  const [out, input] = shape;
  if (!checkpoint.isPacked(name)) {
    const [matrix] = tensors.filter((tensor) => !tensor.name.endsWith('.bias'));
    return vectorBytes + (matrix.dtype === 'F64' ? matrix.bytes / 2 : matrix.bytes);
  }
  const dtypeOf = (part: string): Dtype | undefined => tensors.find((tensor) => tensor.name.endsWith(part))?.dtype;
  const scaleBytes = dtypeOf('.scales') === 'F16' ? 2 : 4;
  const zerosDtype = dtypeOf('zeros');
  const zeroBytes = zerosDtype === undefined ? 0 : zerosDtype === 'I32' ? 1 : scaleBytes;
  const groups = groupsPerRow(input, groupSizeOf(checkpoint, input));
  return vectorBytes + out * packedRowBytes(input, 4) + out * groups * (scaleBytes + zeroBytes);
}
