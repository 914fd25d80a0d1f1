import type { LlamaConfig, RopeConfig } from './config.js';

/** A configuration as config.json of Hugging Face has it, for `parseConfig` to give it back. */
export const configJson = (config: LlamaConfig): Record<string, unknown> => ({
  architectures: [config.architecture],
  attention_bias: config.attentionBias,
  bos_token_id: config.bosTokenId,
  eos_token_id: config.eosTokenIds,
  head_dim: config.headDim,
  hidden_act: 'silu',
  hidden_size: config.hiddenSize,
  intermediate_size: config.intermediateSize,
  max_position_embeddings: config.maxPositionEmbeddings,
  mlp_bias: config.mlpBias,
  model_type: config.modelType,
  num_attention_heads: config.numAttentionHeads,
  num_hidden_layers: config.numHiddenLayers,
  num_key_value_heads: config.numKeyValueHeads,
  rms_norm_eps: config.rmsNormEps,
  rope_parameters: ropeJson(config.rope),
  tie_word_embeddings: config.tieWordEmbeddings,
  vocab_size: config.vocabSize,
});

/** Its keys are those of the configuration in snake case. */
function ropeJson({ type, theta, ...rest }: RopeConfig): Record<string, unknown> {
  const snakeCase = (key: string): string => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  const entries = Object.entries(rest).map(([key, value]) => [snakeCase(key), value]);
  return { rope_type: type, rope_theta: theta, ...Object.fromEntries(entries) };
}
