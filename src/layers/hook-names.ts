/**
 * The named points of a forward pass, after TransformerLens' HookedTransformer, plus the input and output of every
 * linear layer. Shapes: batch, pos, d_model, head, kv_head, d_head, d_ff, key (all positions attended to).
 */

/** Points outside the decoder layers. */
export const MODEL_POINTS = [
  'hook_embed', // [batch, pos, d_model]
  'ln_final.hook_scale', // [batch, pos, 1]
  'ln_final.hook_normalized', // [batch, pos, d_model], before the gain
  'unembed.hook_in', // [batch, pos, d_model]
  'unembed.hook_out', // [batch, pos, vocab]
] as const;

/** Points of each decoder layer, in the order in which a pass reaches them. */
export const LAYER_POINTS = [
  'hook_resid_pre', // [batch, pos, d_model]
  'ln1.hook_scale', // [batch, pos, 1]
  'ln1.hook_normalized', // [batch, pos, d_model]
  'attn.q_proj.hook_in',
  'attn.q_proj.hook_out', // [batch, pos, head·d_head]
  'attn.hook_q', // [batch, pos, head, d_head], before RoPE
  'attn.k_proj.hook_in',
  'attn.k_proj.hook_out', // [batch, pos, kv_head·d_head]
  'attn.hook_k', // [batch, pos, kv_head, d_head], before RoPE
  'attn.v_proj.hook_in',
  'attn.v_proj.hook_out',
  'attn.hook_v', // [batch, pos, kv_head, d_head]
  'attn.hook_rot_q',
  'attn.hook_rot_k',
  'attn.hook_attn_scores', // [batch, head, pos, key], scaled and masked
  'attn.hook_pattern', // [batch, head, pos, key]
  'attn.hook_z', // [batch, pos, head, d_head]
  'attn.o_proj.hook_in', // [batch, pos, head·d_head]
  'attn.o_proj.hook_out', // [batch, pos, d_model]
  'hook_attn_out', // [batch, pos, d_model]
  'hook_resid_mid',
  'ln2.hook_scale',
  'ln2.hook_normalized',
  'mlp.gate_proj.hook_in',
  'mlp.gate_proj.hook_out', // [batch, pos, d_ff]
  'mlp.hook_pre', // gate_proj's output
  'mlp.up_proj.hook_in',
  'mlp.up_proj.hook_out',
  'mlp.hook_pre_linear', // up_proj's output
  'mlp.hook_post', // SiLU(gate)·up
  'mlp.down_proj.hook_in',
  'mlp.down_proj.hook_out', // [batch, pos, d_model]
  'hook_mlp_out',
  'hook_resid_post',
] as const;

/** A point outside the decoder layers. */
export type ModelPoint = (typeof MODEL_POINTS)[number];
/** A point of a decoder layer, named without the layer. */
export type LayerPoint = (typeof LAYER_POINTS)[number];
/** A hook's name: a misspelt one does not compile. */
export type HookName = ModelPoint | `blocks.${number}.${LayerPoint}`;

/** The full name of a layer's point. */
export const layerHook = (layer: number, point: LayerPoint): HookName => `blocks.${layer}.${point}`;

/** All names of a model with `layers` decoder layers, in the order of a pass. */
export function hookNames(layers: number): HookName[] {
  const [embed, ...rest] = MODEL_POINTS;
  const blocks = Array.from({ length: layers }, (_, layer) => LAYER_POINTS.map((point) => layerHook(layer, point)));
  return [embed, ...blocks.flat(), ...rest];
}
