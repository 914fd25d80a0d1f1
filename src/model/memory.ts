import { CODE_BITS, formName, formOf, storageArrays, type MatrixStorage } from '../matrix/index.js';
import { isMapped } from '../native/mapped-files.js';
import type { RotaryTable } from '../ops/rope.js';
import { LINEAR_NAMES, type LlamaWeights } from './weights.js';

/** Memory of one kind of thing. */
export interface MemoryRow {
  readonly kind: string;
  /** How its matrices are held, such as "int4 g64" or "bf16", joined by "+" where they differ; "f32" of vectors. */
  readonly stored: string;
  /** Matrices or vectors. */
  readonly count: number;
  readonly bytes: number;
  /** Those of the bytes that lie in a mapped file: the system pages them in as they are used. */
  readonly mapped: number;
}

/** What a model keeps from pass to pass, by kind. KV caches and activations belong to those who run it. */
export function memoryOf(weights: LlamaWeights, rotary: RotaryTable): MemoryRow[] {
  const row = (kind: string, stored: string, arrays: readonly ArrayBufferView[], count: number): MemoryRow => ({
    kind,
    stored,
    count,
    bytes: bytesOf(arrays),
    mapped: bytesOf(arrays.filter(isMapped)),
  });
  const matrices = (kind: string, storages: readonly MatrixStorage[]): MemoryRow => {
    const forms = new Set(storages.map((storage) => formName(formOf(storage))));
    return row(kind, [...forms].join('+'), storages.flatMap(storageArrays), storages.length);
  };
  const vectors = (kind: string, arrays: readonly ArrayBufferView[]): MemoryRow => row(kind, 'f32', arrays, arrays.length);
  const linears = weights.layers.flatMap((layer) => LINEAR_NAMES.map((name) => layer[name]));
  const storages = linears.map(({ weight }) => weight);
  const tied = weights.lm_head.weight === weights.embed_tokens;
  return [
    ...CODE_BITS.map((bits) => matrices(`layers, int${bits}`, storages.filter((one) => one.kind === 'packed' && one.bits === bits))),
    matrices('layers, float', storages.filter(({ kind }) => kind === 'dense')),
    matrices(tied ? 'embedding and lm_head (tied)' : 'embedding', [weights.embed_tokens]),
    matrices('lm_head', tied ? [] : [weights.lm_head.weight]),
    vectors('norms and biases', [
      weights.norm,
      ...weights.layers.flatMap((layer) => [layer.input_layernorm, layer.post_attention_layernorm]),
      ...[...linears, weights.lm_head].flatMap(({ bias }) => bias ?? []),
    ]),
    vectors('rotary table', madeOf(rotary)),
  ].filter(({ count }) => count > 0);
}

/** The part of the tables that takes memory. */
const madeOf = ({ cos, sin, positions, made = positions }: RotaryTable): ArrayBufferView[] =>
  [cos, sin].map((rows) => rows.subarray(0, (rows.length / positions) * made));

const bytesOf = (arrays: readonly ArrayBufferView[]): number =>
  arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
