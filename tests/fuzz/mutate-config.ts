import type { Draws } from './random.js';

/** Values that a config.json may well have, though not with just any weights: so that what comes after it sees them. */
const PLAUSIBLE: Readonly<Record<string, readonly unknown[]>> = {
  hidden_size: [1, 2, 32, 63, 64, 128],
  intermediate_size: [1, 32, 64, 65, 2 ** 22],
  num_hidden_layers: [1, 2, 3, 4096],
  num_attention_heads: [1, 2, 4, 8, 16, 32],
  num_key_value_heads: [1, 2, 4, 16],
  head_dim: [null, 2, 4, 8, 16, 32, 64],
  vocab_size: [1, 3, 23, 24, 25, 2 ** 22],
  max_position_embeddings: [1, 2, 3, 4, 2 ** 20, 2 ** 23, 2 ** 24],
  rms_norm_eps: [1e-38, 1e-12, 1, 1e30],
  tie_word_embeddings: [true, false],
  attention_bias: [true, false],
  mlp_bias: [true, false],
  bos_token_id: [0, 23, -1, null],
  eos_token_id: [0, 23, -1, [1, 2], [], null],
  rope_theta: [1.0000002, 2, 1e38],
  rope_scaling: [null, { type: 'linear', factor: 1e-38 }, { type: 'yarn', factor: 1e38, beta_fast: 1, beta_slow: 1 }],
  rope_parameters: [
    undefined,
    { rope_type: 'default', rope_theta: 1e30 },
    {
      rope_type: 'llama3',
      factor: 1e-30,
      low_freq_factor: 1e-30,
      high_freq_factor: 1e30,
      original_max_position_embeddings: 1,
    },
    {
      rope_type: 'yarn',
      rope_theta: 1.5,
      factor: 1,
      original_max_position_embeddings: 2 ** 24,
      truncate: false,
      attention_factor: 1e38,
    },
  ],
};

const QUANTIZATION: Readonly<Record<string, readonly unknown[]>> = {
  group_size: [-1, 1, 8, 16, 32, 63, 64, 128, 2 ** 31, undefined],
  zero_point: [true, false],
  bits: [4, 8],
  version: ['gemv', 'marlin'],
  quant_method: ['awq', 'gptq', undefined],
  modules_to_not_convert: [['lm_head'], 'x'],
};

/** Gives 1 to 3 keys another value that it may well have. */
export function mutateConfig(config: Readonly<Record<string, unknown>>, draws: Draws): object {
  const changed: Record<string, unknown> = { ...config };
  for (let edits = 1 + draws.below(3); edits > 0; edits--) {
    const quantization = changed.quantization_config as object | undefined;
    if (quantization !== undefined && draws.once(3)) {
      const key = draws.pick(Object.keys(QUANTIZATION));
      changed.quantization_config = { ...quantization, [key]: draws.pick(QUANTIZATION[key]) };
      continue;
    }
    const key = draws.pick(Object.keys(PLAUSIBLE));
    changed[key] = draws.pick(PLAUSIBLE[key]);
  }
  return changed;
}
