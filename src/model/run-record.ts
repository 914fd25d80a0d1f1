import { basename } from 'node:path';
import { VERSION } from '../base/version.js';
import { native } from '../native/native.js';
import { LINEAR_NAMES, type LlamaWeights } from './weights.js';

/** How a result came about: enough to get it again. */
export interface RunRecord {
  /** Name of the checkpoint's folder. */
  readonly model: string;
  /** Hash of its contents; see `Checkpoint.hash`. */
  readonly hash: string;
  /** Of the layers' matrices: "int4 g64" or "bf16". */
  readonly precision: string;
  /** "native avx2", "native scalar" or "typescript". */
  readonly kernels: string;
  readonly path: 'fused' | 'composed';
  /** Where something was drawn at random. */
  readonly seed?: number;
  readonly versions: { readonly nibblelens: string; readonly node: string };
}

export function runRecord(
  weights: LlamaWeights,
  model: { path: string; hash: string },
  path: RunRecord['path'],
  seed?: number,
): RunRecord {
  const addon = native();
  return {
    model: basename(model.path),
    hash: model.hash,
    precision: precisionOf(weights),
    kernels: addon ? `native ${addon.info().isa}` : 'typescript',
    path,
    ...(seed === undefined ? {} : { seed }),
    versions: { nibblelens: VERSION, node: process.versions.node },
  };
}

/** The stored type of the layers' matrices, joined by "+" where they differ. */
export function precisionOf({ layers }: LlamaWeights): string {
  const kinds = layers.flatMap((layer) =>
    LINEAR_NAMES.map((name) => {
      const { weight } = layer[name];
      return weight.kind === 'packed' ? `int${weight.bits} g${weight.groupSize}` : weight.dtype;
    }),
  );
  return [...new Set(kinds)].join('+');
}
