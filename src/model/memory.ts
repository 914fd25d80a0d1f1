import type { MatrixStorage } from '../matrix/storage.js';
import { LINEAR_NAMES, type LlamaWeights } from './weights.js';

/** Memory held by one kind of thing. */
export interface MemoryRow {
  readonly kind: string;
  readonly count: number;
  readonly bytes: number;
}

/** Weights by kind: what is held (or, for a mapped file, addressed). */
export function memoryOf(weights: LlamaWeights): MemoryRow[] {
  const matrices = (name: string, storages: readonly MatrixStorage[]): MemoryRow => ({
    kind: name,
    count: storages.length,
    bytes: storages.reduce((sum, storage) => sum + bytesOf(storage), 0),
  });
  const linears = weights.layers.flatMap((layer) => LINEAR_NAMES.map((name) => layer[name]));
  const storages = linears.map(({ weight }) => weight);
  const vectors = [
    weights.norm,
    ...weights.layers.flatMap((w) => [w.input_layernorm, w.post_attention_layernorm]),
    ...[...linears, weights.lm_head].flatMap(({ bias }) => bias ?? []),
  ];
  const tied = weights.lm_head.weight === weights.embed_tokens;
  return [
    matrices('layers, int4', storages.filter(({ kind }) => kind === 'packed')),
    matrices('layers, float', storages.filter(({ kind }) => kind === 'dense')),
    matrices(tied ? 'embedding and lm_head (tied)' : 'embedding', [weights.embed_tokens]),
    matrices('lm_head', tied ? [] : [weights.lm_head.weight]),
    { kind: 'norms and biases', count: vectors.length, bytes: vectors.reduce((sum, v) => sum + v.byteLength, 0) },
  ].filter(({ count }) => count > 0);
}

function bytesOf(storage: MatrixStorage): number {
  if (storage.kind === 'dense') return storage.values.byteLength;
  const { codes, scales, zeros, offsets } = storage;
  return codes.byteLength + scales.byteLength + (zeros?.byteLength ?? 0) + (offsets?.byteLength ?? 0);
}
