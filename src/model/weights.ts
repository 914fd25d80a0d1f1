import type { LlamaConfig } from '../checkpoint/config.js';
import type { MatrixStorage } from '../matrix/storage.js';

/** A linear layer's arrays. */
export interface LinearWeights {
  readonly weight: MatrixStorage; // [out_features, in_features]
  readonly bias: Float32Array | null; // [out_features]
}

export interface DecoderLayerWeights {
  readonly input_layernorm: Float32Array; // [d_model]
  readonly q_proj: LinearWeights;
  readonly k_proj: LinearWeights;
  readonly v_proj: LinearWeights;
  readonly o_proj: LinearWeights;
  readonly post_attention_layernorm: Float32Array; // [d_model]
  readonly gate_proj: LinearWeights;
  readonly up_proj: LinearWeights;
  readonly down_proj: LinearWeights;
}

/** The linear layers of a decoder layer. */
export const LINEAR_NAMES = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'] as const;
/** A linear layer of a decoder layer, by its name in the checkpoint. */
export type LinearName = (typeof LINEAR_NAMES)[number];

/** All arrays of a LLaMA, with the names of its checkpoint. */
export interface LlamaWeights {
  readonly config: LlamaConfig;
  readonly embed_tokens: MatrixStorage; // [vocab, d_model]
  readonly layers: readonly DecoderLayerWeights[];
  readonly norm: Float32Array; // [d_model]
  readonly lm_head: LinearWeights; // [vocab, d_model]
}
