import type { Tensor } from '@tensorflow/tfjs-core';
import { add } from '../ops/index.js';
import type { GroupedQueryAttention, PassContext } from './grouped-query-attention.js';
import type { RMSNorm } from './rms-norm.js';
import type { SwiGLU } from './swiglu.js';
import { tapped, type LayerTap } from './tap.js';

/** One block of a LLaMA: attention and MLP, each normalised before and added to the residual stream after. */
export class DecoderLayer {
  constructor(
    readonly index: number,
    readonly input_layernorm: RMSNorm,
    readonly self_attn: GroupedQueryAttention,
    readonly post_attention_layernorm: RMSNorm,
    readonly mlp: SwiGLU,
  ) {}

  /** `x`: the residual stream [batch, pos, d_model], in and out. */
  forward(x: Tensor, context: PassContext, tap: LayerTap | null): Tensor {
    const residPre = tapped(tap, 'hook_resid_pre', x); // [batch, pos, d_model]
    const attnIn = this.input_layernorm.forward(residPre, tap, 'ln1');
    const attnOut = tapped(tap, 'hook_attn_out', this.self_attn.forward(attnIn, this.index, context, tap));
    const residMid = tapped(tap, 'hook_resid_mid', add(residPre, attnOut));
    const mlpIn = this.post_attention_layernorm.forward(residMid, tap, 'ln2');
    const mlpOut = tapped(tap, 'hook_mlp_out', this.mlp.forward(mlpIn, tap));
    return tapped(tap, 'hook_resid_post', add(residMid, mlpOut)); // [batch, pos, d_model]
  }
}
