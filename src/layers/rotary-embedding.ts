import type { Tensor } from '@tensorflow/tfjs-core';
import { rope, type RotaryTable } from '../ops/index.js';

/**
 * Rotary position embedding (Su et al. 2021, arXiv:2104.09864) in the layout of Hugging Face checkpoints: the pair
 * (i, i + d_head / 2) of each head turns by position·ω_i.
 */
export class RotaryEmbedding {
  constructor(readonly table: RotaryTable) {}

  /** `x`: [batch, pos, head, d_head]; `positions`: [batch·pos] */
  forward(x: Tensor, positions: Int32Array): Tensor {
    return rope(x, positions, this.table); // [batch, pos, head, d_head]
  }
}
