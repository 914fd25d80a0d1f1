import { basename } from 'node:path';
import type { LlamaConfig, QuantizationConfig, RopeConfig } from '../checkpoint/config.js';
import { inspectCheckpoint, type CheckpointSummary } from '../checkpoint/inspect.js';
import { bytes } from './bytes.js';
import { textPairs, textTable } from './text-table.js';

/** Prints what a checkpoint is, from its headers alone. */
export async function runInspect(folder: string, { json }: { json?: boolean }): Promise<void> {
  const summary = await inspectCheckpoint(folder);
  process.stdout.write(`${json ? JSON.stringify(summary) : inWords(summary)}\n`);
}

function inWords(summary: CheckpointSummary): string {
  const { path, config, files, tensors, matrices, totals, memory } = summary;
  const figures = textPairs([
    ...configRows(config),
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
  const { quantization } = config;
  return [
    ['architecture', config.architecture],
    ['layers', String(config.numHiddenLayers)],
    ['d_model, d_ff', `${config.hiddenSize}, ${config.intermediateSize}`],
    ['heads', `${config.numAttentionHeads} of ${config.headDim}, ${config.numKeyValueHeads} for keys and values`],
    ['vocabulary', `${config.vocabSize.toLocaleString('en')}${config.tieWordEmbeddings ? ', lm_head is the embedding' : ''}`],
    ['context', `${config.maxPositionEmbeddings.toLocaleString('en')} tokens`],
    ['RoPE', ropeInWords(config.rope)],
    ['quantisation', quantization ? quantizationInWords(quantization) : 'none'],
  ];
}

function ropeInWords({ type, theta, ...rest }: RopeConfig): string {
  const details = Object.entries(rest).map(([name, value]) => `${name} ${value}`);
  return [`${type}, θ ${theta.toLocaleString('en')}`, ...details].join(', ');
}

const quantizationInWords = ({ method, bits, groupSize }: QuantizationConfig): string =>
  `${method}, ${bits} bits, groups of ${Number.isFinite(groupSize) ? groupSize : 'a whole row'}`;
