import type { RunRecord } from '../model/run-record.js';

/** What generation needs of a model; it knows neither layers nor tensors. */
export interface TokenDecoder {
  readonly vocabSize: number;
  /** Most positions that a sequence may hold. */
  readonly contextLength: number;
  /** Ids at which the model ends a text, beside the tokenizer's EOS; none if absent. */
  readonly eosIds?: readonly number[];
  /** An empty sequence. */
  createSequence(): Sequence;
  /**
   * Appends ids to sequences and gives, for each, the logits after its last id: a fresh Float32Array [vocabSize] each.
   * Items may have unequal numbers of ids (at least one). Long prompts are run in chunks; `onProgress` hears of every
   * chunk (ids done of ids in all). Once `signal` is aborted the call rejects with its reason, and each sequence holds
   * a whole number of chunks or layers' work that `length` tells. Short steps may return without a promise.
   */
  decode(items: readonly DecodeItem[], options?: DecodeOptions): Float32Array[] | Promise<Float32Array[]>;
  /** How a text with this seed comes about; null if the decoder cannot tell. */
  record?(seed: number): RunRecord | null;
}

export interface DecodeItem {
  readonly sequence: Sequence;
  readonly ids: Int32Array;
}

export interface DecodeOptions {
  signal?: AbortSignal;
  onProgress?: (done: number, total: number) => void;
}

/** The state of one sequence: the positions that its KV cache holds. */
export interface Sequence {
  readonly length: number;
  /** Forgets all positions from `length` on. */
  truncate(length: number): void;
  /** A copy that shares what both have in common until one of them writes. */
  fork(): Sequence;
  /**
   * Drops positions [from, from + count) and moves later ones up, their keys turned to their new positions. A sequence
   * must be left alone meanwhile.
   */
  discard(from: number, count: number): void | Promise<void>;
  dispose(): void;
}
