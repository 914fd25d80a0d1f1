import type { HookName } from '../layers/hook-names.js';

/** One kernel call of a recorded pass. */
export interface GraphNode {
  readonly kernel: string;
  /** Where each input comes from: an earlier node, or −1 for the token ids. */
  readonly inputs: Readonly<Record<string, number>>;
  /** As the kernel takes them, weights included. */
  readonly attributes: object;
  /** Names of the weights among the attributes, as in the checkpoint: "layers.0.q_proj.weight". */
  readonly weights: readonly string[];
  readonly shape: readonly number[];
  /** The named points at which this node's output can be seen. */
  readonly hooks: readonly HookName[];
}

/** A forward pass as data: its kernel calls in order; the last one gives the logits. */
export interface Graph {
  readonly batch: number;
  readonly pos: number;
  readonly nodes: readonly GraphNode[];
}
