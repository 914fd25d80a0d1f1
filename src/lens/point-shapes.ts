import type { LlamaConfig } from '../checkpoint/config.js';
import type { HookName, LayerPoint, ModelPoint } from '../layers/hook-names.js';

/** Points whose rows are [batch, head, pos, key]; all others are [batch, pos, …]. */
export const isAttentionPoint = (name: HookName): boolean =>
  name.endsWith('.hook_attn_scores') || name.endsWith('.hook_pattern');

/** The point of a full name, without its layer. */
export function pointOf(name: HookName): ModelPoint | LayerPoint {
  return name.replace(/^blocks\.\d+\./, '') as ModelPoint | LayerPoint;
}

/** What follows [batch, pos] in the shape of a point that is not an attention point. */
function innerShape(config: LlamaConfig, point: ModelPoint | LayerPoint): number[] {
  const { hiddenSize, intermediateSize, numAttentionHeads, numKeyValueHeads, headDim, vocabSize } = config;
  switch (point) {
    case 'ln1.hook_scale':
    case 'ln2.hook_scale':
    case 'ln_final.hook_scale':
      return [1];
    case 'attn.hook_q':
    case 'attn.hook_rot_q':
    case 'attn.hook_z':
      return [numAttentionHeads, headDim];
    case 'attn.hook_k':
    case 'attn.hook_rot_k':
    case 'attn.hook_v':
      return [numKeyValueHeads, headDim];
    case 'attn.q_proj.hook_out':
    case 'attn.o_proj.hook_in':
      return [numAttentionHeads * headDim];
    case 'attn.k_proj.hook_out':
    case 'attn.v_proj.hook_out':
      return [numKeyValueHeads * headDim];
    case 'mlp.gate_proj.hook_out':
    case 'mlp.up_proj.hook_out':
    case 'mlp.hook_pre':
    case 'mlp.hook_pre_linear':
    case 'mlp.hook_post':
    case 'mlp.down_proj.hook_in':
      return [intermediateSize];
    case 'unembed.hook_out':
      return [vocabSize];
    default:
      return [hiddenSize];
  }
}

/** The shape of a point for `pos` rows per sequence that attend to `keys` positions. */
export function pointShape(config: LlamaConfig, name: HookName, batch: number, pos: number, keys: number): number[] {
  if (isAttentionPoint(name)) return [batch, config.numAttentionHeads, pos, keys];
  return [batch, pos, ...innerShape(config, pointOf(name))];
}
