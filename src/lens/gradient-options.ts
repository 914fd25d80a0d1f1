import type { RunRecord } from '../model/run-record.js';
import type { ActivationCache } from './activations.js';
import type { HookSelector } from './run-options.js';

/** What a gradient run keeps, and how it is followed and stopped. */
export interface GradientOptions {
  /** Points whose gradients the result keeps. Default: the residual stream before each layer and after the last one. */
  at?: HookSelector;
  signal?: AbortSignal;
  /** Layers done, of all: once on the way up, once on the way back. */
  onProgress?: (done: number, total: number) => void;
}

/** A metric of a pass, and its gradients. */
export interface GradientOutput {
  readonly value: number;
  /** [batch, pos, vocab] */
  readonly logits: Float32Array;
  /** ∂value / ∂(values at each point), of the point's shape. */
  readonly gradients: ActivationCache;
}

/** The same of an opened model. */
export interface GradientRun extends GradientOutput {
  /** [batch][pos] */
  readonly ids: readonly Int32Array[];
  readonly record: RunRecord;
}
