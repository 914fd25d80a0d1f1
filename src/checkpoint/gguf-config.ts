import type { LlamaConfig } from './config.js';
import type { GgufMetadata } from './gguf-metadata.js';
import type { JsonObject } from './json.js';
import { parseConfig } from './parse-config.js';

/** What a GGUF file tells of its model outside of the metadata. */
export interface GgufModel {
  /** Rows of the embedding. */
  readonly vocabSize: number;
  readonly isTied: boolean;
  /** Of `rope_freqs.weight`, where it is there. */
  readonly ropeFactors: Float32Array | null;
}

/** The keys of config.json by those of GGUF. */
const KEYS: Readonly<Record<string, string>> = {
  hidden_size: 'llama.embedding_length',
  intermediate_size: 'llama.feed_forward_length',
  num_hidden_layers: 'llama.block_count',
  num_attention_heads: 'llama.attention.head_count',
  max_position_embeddings: 'llama.context_length',
  rms_norm_eps: 'llama.attention.layer_norm_rms_epsilon',
};
/** Those that may be absent. */
const OPTIONAL_KEYS: Readonly<Record<string, string>> = {
  num_key_value_heads: 'llama.attention.head_count_kv',
  head_dim: 'llama.attention.key_length',
  rope_theta: 'llama.rope.freq_base',
  bos_token_id: 'tokenizer.ggml.bos_token_id',
};
const SCALING_KEYS: Readonly<Record<string, string>> = {
  'rope_scaling.factor': 'llama.rope.scaling.factor',
  'rope_scaling.original_max_position_embeddings': 'llama.rope.scaling.original_context_length',
  'rope_scaling.beta_fast': 'llama.rope.scaling.yarn_beta_fast',
  'rope_scaling.beta_slow': 'llama.rope.scaling.yarn_beta_slow',
};
const KEY_NAMES = {
  ...KEYS,
  ...OPTIONAL_KEYS,
  ...SCALING_KEYS,
  'rope_scaling.rope_type': 'llama.rope.scaling.type',
  'rope_scaling.factors': 'rope_freqs.weight',
  eos_token_id: 'tokenizer.ggml.eos_token_id',
};

/** Tokens that end a text, a turn, a message. */
const END_KEYS = ['eos', 'eot', 'eom'].map((name) => `tokenizer.ggml.${name}_token_id`);

/**
 * The configuration of a LLaMA from the metadata of its GGUF file (ggml's docs/gguf.md; llama.cpp's `llama-model.cpp`),
 * read by way of the keys of config.json so that both are checked alike. Errors name the keys of GGUF.
 * @throws CheckpointError for keys that are missing, values that cannot be, and models that are no LLaMA.
 */
export function ggufConfig(metadata: GgufMetadata, { vocabSize, isTied, ropeFactors }: GgufModel): LlamaConfig {
  const architecture = metadata.get('general.architecture');
  if (architecture !== 'llama') metadata.fail('general.architecture', architecture, '"llama"');
  const experts = metadata.get('llama.expert_count') ?? 0;
  if (experts !== 0) metadata.fail('llama.expert_count', experts, '0: mixtures of experts are not supported');
  for (const key of Object.values(KEYS)) if (metadata.get(key) === undefined) metadata.fail(key, undefined, 'a number');
  const json: JsonObject = new Map<string, unknown>([
    ['model_type', 'llama'],
    ...Object.entries({ ...KEYS, ...OPTIONAL_KEYS }).map(([key, name]) => [key, metadata.get(name)] as const),
    ['vocab_size', vocabSize],
    ['tie_word_embeddings', isTied],
    ['eos_token_id', END_KEYS.map((key) => metadata.get(key)).filter((id) => id !== undefined)],
    ['rope_scaling', scalingOf(metadata, ropeFactors)],
  ]);
  const config = parseConfig(json, metadata.where, { keyNames: KEY_NAMES });
  for (const key of ['llama.attention.key_length', 'llama.attention.value_length', 'llama.rope.dimension_count']) {
    const size = metadata.get(key) ?? config.headDim;
    if (size !== config.headDim) metadata.fail(key, size, `${config.headDim}, as the heads have`);
  }
  return config;
}

/**
 * As llama.cpp has it: a factor without a type means linear, and its old name is `scale_linear`; each frequency is
 * divided by its factor where there are such.
 */
function scalingOf(metadata: GgufMetadata, ropeFactors: Float32Array | null): Record<string, unknown> | undefined {
  const factors = ropeFactors?.every((each) => each === 1) ? null : ropeFactors;
  const factor = metadata.get('llama.rope.scaling.factor') ?? metadata.get('llama.rope.scale_linear') ?? 0;
  const type = metadata.get('llama.rope.scaling.type') ?? (factor === 0 ? 'none' : 'linear');
  if (factors) {
    if (type !== 'none') metadata.fail('rope_freqs.weight', `factors beside ${String(type)} scaling`, 'one of them');
    return { rope_type: 'factors', factors: [...factors] };
  }
  if (type === 'none') return undefined;
  const fields = Object.entries(SCALING_KEYS).map(([key, name]) => [key.split('.')[1], metadata.get(name)] as const);
  const scaling = { ...Object.fromEntries(fields), rope_type: type, factor: factor === 0 ? undefined : factor };
  const attention = metadata.get('llama.rope.scaling.attn_factor') ?? 1;
  if (attention !== 1) metadata.fail('llama.rope.scaling.attn_factor', attention, '1');
  return scaling;
}
