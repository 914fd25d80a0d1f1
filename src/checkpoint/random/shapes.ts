import { parseConfig } from '../parse-config.js';
import type { LlamaConfig } from '../config.js';

/** Sizes of a model, by the keys of config.json. */
interface Sizes {
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly intermediate_size: number;
  readonly vocab_size: number;
}

/** Shapes of models that `makeWeights` makes. None ties lm_head to the embedding. */
export const WEIGHT_SHAPES = {
  /** 24.4 million weights, of which three quarters are embedding and lm_head: that of llama2.c's smaller storytellers. */
  '24m': {
    hidden_size: 288,
    num_hidden_layers: 6,
    num_attention_heads: 6,
    num_key_value_heads: 6,
    intermediate_size: 768,
    vocab_size: 32000,
  },
  /** 1.10 billion: TinyLlama. */
  '1.1b': {
    hidden_size: 2048,
    num_hidden_layers: 22,
    num_attention_heads: 32,
    num_key_value_heads: 4,
    intermediate_size: 5632,
    vocab_size: 32000,
  },
  /** 3.01 billion: LLaMA 3.2 3B, with the vocabulary of the others. */
  '3b': {
    hidden_size: 3072,
    num_hidden_layers: 28,
    num_attention_heads: 24,
    num_key_value_heads: 8,
    intermediate_size: 8192,
    vocab_size: 32000,
  },
} as const satisfies Readonly<Record<string, Sizes>>;

export type WeightShape = keyof typeof WEIGHT_SHAPES;

/** config.json of a model of random weights. */
export const randomConfigJson = (shape: WeightShape): Record<string, unknown> => ({
  architectures: ['LlamaForCausalLM'],
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: 'silu',
  ...WEIGHT_SHAPES[shape],
  max_position_embeddings: 8192,
  model_type: 'llama',
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: false,
});

export const randomConfig = (shape: WeightShape): LlamaConfig =>
  parseConfig(new Map(Object.entries(randomConfigJson(shape))), `shape ${shape}`);
