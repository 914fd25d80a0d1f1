import type { Tensor } from '@tensorflow/tfjs-core';
import { swiglu } from '../ops/index.js';
import type { Linear } from './linear.js';
import { tapped, type LayerTap } from './tap.js';

/** down(SiLU(gate(x)) · up(x)) (Shazeer 2020, arXiv:2002.05202). */
export class SwiGLU {
  constructor(
    readonly gate_proj: Linear,
    readonly up_proj: Linear,
    readonly down_proj: Linear,
  ) {}

  /** `x`: [batch, pos, d_model], normalised. */
  forward(x: Tensor, tap: LayerTap | null): Tensor {
    const gate = tapped(tap, 'mlp.hook_pre', this.gate_proj.forward(x, tap, 'mlp.gate_proj')); // [batch, pos, d_ff]
    const up = tapped(tap, 'mlp.hook_pre_linear', this.up_proj.forward(x, tap, 'mlp.up_proj')); // [batch, pos, d_ff]
    const post = tapped(tap, 'mlp.hook_post', swiglu(gate, up)); // [batch, pos, d_ff]
    return this.down_proj.forward(post, tap, 'mlp.down_proj'); // [batch, pos, d_model]
  }
}
