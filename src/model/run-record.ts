import { basename } from 'node:path';
import { VERSION } from '../base/version.js';
import { formName, formOf } from '../matrix/form.js';
import type { Mode } from '../matrix/storage.js';
import { native, type CacheType } from '../native/native.js';
import { LINEAR_NAMES, type LlamaWeights } from './weights.js';

/** How a result came about: enough to get it again. */
export interface RunRecord {
  /** Name of the checkpoint's folder. */
  readonly model: string;
  /** Hash of its contents; see `Checkpoint.hash`. */
  readonly hash: string;
  /** Of the layers' matrices: "int4 g64" or "bf16". */
  readonly precision: string;
  /** Of lm_head, which is the embedding where the two are tied: "f16", "int8 g32". */
  readonly head: string;
  /** "native" and the instruction set, as in "native avx2", or "typescript". */
  readonly kernels: string;
  readonly path: 'fused' | 'composed';
  /** How activations met packed weights. */
  readonly mode: Mode;
  /** How keys and values were held from pass to pass. */
  readonly cache: CacheType;
  /** Where something was drawn at random. */
  readonly seed?: number;
  readonly versions: { readonly nibblelens: string; readonly node: string };
}

/** What a record tells of a decoder. */
interface Recorded {
  readonly weights: LlamaWeights;
  readonly mode: Mode;
  readonly cacheShape: { readonly type: CacheType };
}

export function runRecord(
  { weights, mode, cacheShape }: Recorded,
  model: { path: string; hash: string },
  path: RunRecord['path'],
  seed?: number,
): RunRecord {
  const addon = native();
  return {
    model: basename(model.path),
    hash: model.hash,
    precision: precisionOf(weights),
    head: formName(formOf(weights.lm_head.weight)),
    kernels: addon ? `native ${addon.info().isa}` : 'typescript',
    path,
    mode,
    cache: cacheShape.type,
    ...(seed === undefined ? {} : { seed }),
    versions: { nibblelens: VERSION, node: process.versions.node },
  };
}

/** The stored type of the layers' matrices, joined by "+" where they differ. */
export function precisionOf({ layers }: LlamaWeights): string {
  const kinds = layers.flatMap((layer) =>
    LINEAR_NAMES.map((name) => formName(formOf(layer[name].weight))),
  );
  return [...new Set(kinds)].join('+');
}
