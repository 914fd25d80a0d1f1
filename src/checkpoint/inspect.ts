import { basename } from 'node:path';
import { openCheckpoint, type Checkpoint } from './checkpoint.js';
import type { LlamaConfig } from './config.js';
import type { CheckpointTensor } from './module-files.js';
import type { ModuleSpec } from './names.js';
import { elementCount } from './tensor-info.js';

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
      weights: modules.reduce((sum, spec) => sum + checkpoint.memoryBytes(spec), 0),
      kvCachePer1000Tokens: 1000 * config.numHiddenLayers * 2 * config.numKeyValueHeads * config.headDim * 4,
    },
  };
}

const fileBytes = (checkpoint: Checkpoint, module: string): number =>
  checkpoint.tensorsOf(module).reduce((sum, { bytes }) => sum + bytes, 0);

const weightsOf = (checkpoint: Checkpoint, { name, shape }: ModuleSpec): number =>
  elementCount(shape) + (checkpoint.hasBias(name) ? shape[0] : 0);

function summariseMatrix(checkpoint: Checkpoint, spec: ModuleSpec): MatrixSummary {
  const { name, shape: [out, input] } = spec;
  const stored = checkpoint.tensorsOf(name).filter((tensor) => !tensor.name.endsWith('.bias'));
  const bytes = stored.reduce((sum, tensor) => sum + tensor.bytes, 0);
  const precision = checkpoint.precisionOf(spec);
  return { name, shape: [out, input], precision, bytes, bitsPerWeight: (8 * bytes) / (out * input) };
}
