import { basename } from 'node:path';
import type { LlamaConfig, RopeConfig } from '../checkpoint/config.js';
import { inspectCheckpoint, type CheckpointSummary } from '../checkpoint/inspect.js';
import { bytes } from './bytes.js';
import { textPairs, textTable } from './text-table.js';

/** Prints what a checkpoint is, from its headers alone. */
export async function runInspect(path: string, { json }: { json?: boolean }): Promise<void> {
  const summary = await inspectCheckpoint(path);
  process.stdout.write(`${json ? JSON.stringify(summary) : inWords(summary)}\n`);
}

function inWords(summary: CheckpointSummary): string {
  const { path, config, files, tensors, matrices, totals, memory } = summary;
  const figures = textPairs([
    ...configRows(config),
    ['quantisation', quantizationInWords(summary)],
    ['parameters', totals.parameters.toLocaleString('en')],
    ['bits per weight', totals.bitsPerWeight.toFixed(2)],
    ['files', files.map((file) => `${file.name} (${bytes(file.bytes)})`).join(', ')],
    ['memory needed', `${bytes(memory.weights)} for weights`],
    ['', `${bytes(memory.kvCachePer1000Tokens)} for each 1,000 tokens in the KV cache`],
  ]);
  const matrixTable = textTable(
    matrices.map(({ name, shape, precision, bytes: size, bitsPerWeight }) => ({
      matrix: name,
      shape: shape.join(' × '),
      precision,
      bytes: size,
      'bits per weight': bitsPerWeight.toFixed(2),
    })),
  );
  const tensorTable = textTable(
    tensors.map(({ name, dtype, shape, bytes: size, file }) => ({
      tensor: name,
      dtype: dtype.toLowerCase(),
      shape: shape.join(' × '),
      bytes: size,
      file: basename(file),
    })),
  );
  return [path, figures, matrixTable, tensorTable].join('\n\n');
}

function configRows(config: LlamaConfig): [string, string][] {
  return [
    ['architecture', config.architecture],
    ['layers', String(config.numHiddenLayers)],
    ['d_model, d_ff', `${config.hiddenSize}, ${config.intermediateSize}`],
    ['heads', `${config.numAttentionHeads} of ${config.headDim}, ${config.numKeyValueHeads} for keys and values`],
    ['vocabulary', `${config.vocabSize.toLocaleString('en')}${config.tieWordEmbeddings ? ', lm_head is the embedding' : ''}`],
    ['context', `${config.maxPositionEmbeddings.toLocaleString('en')} tokens`],
    ['RoPE', ropeInWords(config.rope)],
  ];
}

function ropeInWords({ type, theta, ...rest }: RopeConfig): string {
  const details = Object.entries(rest).map(([name, value]: [string, unknown]) => {
    return `${name} ${Array.isArray(value) ? `from ${Math.min(...value)} to ${Math.max(...value)}` : String(value)}`;
  });
  return [`${type}, θ ${theta.toLocaleString('en')}`, ...details].join(', ');
}

/** As the config says; where it does not, as in a GGUF file, the types of the matrices that are no floats. */
function quantizationInWords({ config: { quantization }, matrices }: CheckpointSummary): string {
  if (!quantization) {
    const types = new Set(matrices.map(({ precision }) => precision));
    return [...types].filter((type) => !/^b?f\d+$/.test(type)).join(', ') || 'none';
  }
  const { method, bits, groupSize } = quantization;
  return `${method}, ${bits} bits, groups of ${Number.isFinite(groupSize) ? groupSize : 'a whole row'}`;
}
