import { ConfigFields, type KeyNames } from './config-fields.js';
import type { LlamaConfig, QuantizationConfig } from './config.js';
import { asJsonObject, type JsonObject } from './json.js';
import { parseRope } from './parse-rope.js';

/** Architectures whose forward pass is the one of this library, by the names that files give them. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  LlamaForCausalLM: 'LlamaForCausalLM',
  LLaMAForCausalLM: 'LlamaForCausalLM',
};

/** Far beyond any model, and small enough that products of two of these sizes are exact. */
const MOST_FEATURES = 2 ** 22;
const MOST_LAYERS = 4096;
const MOST_HEADS = 2 ** 16;
const MOST_POSITIONS = 2 ** 24;
/** Of RoPE's tables of cosines and of sines, each: a context of 4 million at a d_head of 128. */
const MOST_ANGLES = 2 ** 28;

/** A quant_config.json or quantize_config.json, as older AWQ folders have. */
export interface QuantConfigFile {
  readonly fields: JsonObject;
  readonly where: string;
}

/** What may stand beside config.json. */
export interface CompanionFiles {
  /** generation_config.json */
  readonly generationConfig?: JsonObject | null;
  readonly quantConfig?: QuantConfigFile | null;
  /** Where the object was made of another format's metadata: how that calls its keys. */
  readonly keyNames?: KeyNames;
}

/**
 * Reads Hugging Face's `config.json` of a LLaMA: legacy keys and those of transformers 5 alike, every number checked.
 * @param where the file's path, for errors.
 * @throws CheckpointError for values that cannot be, and an architecture, RoPE type or quantisation not supported.
 */
export function parseConfig(json: JsonObject, where: string, companions: CompanionFiles = {}): LlamaConfig {
  const fields = new ConfigFields(json, where, '', companions.keyNames);
  const architecture = parseArchitecture(fields);
  const hiddenSize = fields.count('hidden_size', MOST_FEATURES);
  const numAttentionHeads = fields.count('num_attention_heads', MOST_HEADS);
  const numKeyValueHeads = fields.count('num_key_value_heads', MOST_HEADS, numAttentionHeads);
  if (numAttentionHeads % numKeyValueHeads !== 0) {
    fields.fail('num_key_value_heads', numKeyValueHeads, `a divisor of num_attention_heads, ${numAttentionHeads}`);
  }
  const headDim = parseHeadDim(fields, hiddenSize, numAttentionHeads);
  const vocabSize = fields.count('vocab_size', MOST_FEATURES);
  const maxPositionEmbeddings = fields.count('max_position_embeddings', MOST_POSITIONS, 2048);
  if (maxPositionEmbeddings * (headDim / 2) > MOST_ANGLES) {
    const most = Math.floor(MOST_ANGLES / (headDim / 2));
    fields.fail('max_position_embeddings', maxPositionEmbeddings, `at most ${most} with a head_dim of ${headDim}`);
  }
  const activation = fields.text(['hidden_act'], 'silu');
  if (activation !== 'silu' && activation !== 'swish') fields.fail('hidden_act', activation, 'silu');
  return {
    architecture,
    modelType: fields.text(['model_type'], 'llama'),
    hiddenSize,
    intermediateSize: fields.count('intermediate_size', MOST_FEATURES),
    numHiddenLayers: fields.count('num_hidden_layers', MOST_LAYERS),
    numAttentionHeads,
    numKeyValueHeads,
    headDim,
    vocabSize,
    maxPositionEmbeddings,
    rmsNormEps: fields.positive('rms_norm_eps', 1e-6),
    rope: parseRope(fields, maxPositionEmbeddings, headDim),
    attentionBias: fields.flag('attention_bias', false),
    mlpBias: fields.flag('mlp_bias', false),
    tieWordEmbeddings: fields.flag('tie_word_embeddings', false),
    bosTokenId: tokenIds(fields, 'bos_token_id', vocabSize)[0] ?? null,
    eosTokenIds: eosTokenIds(fields, companions.generationConfig ?? null, vocabSize),
    quantization: parseQuantization(fields, companions.quantConfig ?? null),
  };
}

function parseArchitecture(fields: ConfigFields): string {
  const names = fields.get('architectures');
  const supported = [...new Set(Object.values(ARCHITECTURES))].join(', ');
  if (names === undefined || (Array.isArray(names) && names.length === 0)) {
    if (fields.get('model_type') === 'llama') return 'LlamaForCausalLM';
    return fields.fail('architectures', names, supported);
  }
  const name: unknown = Array.isArray(names) ? names[0] : names;
  if (typeof name === 'string' && Object.hasOwn(ARCHITECTURES, name)) return ARCHITECTURES[name];
  return fields.fail('architecture', name, `a supported one: ${supported}`);
}

function parseHeadDim(fields: ConfigFields, hiddenSize: number, heads: number): number {
  if (fields.get('head_dim') === undefined && hiddenSize % heads !== 0) {
    fields.fail('hidden_size', hiddenSize, `a multiple of num_attention_heads, ${heads}, or a head_dim`);
  }
  const headDim = fields.count('head_dim', MOST_HEADS, Math.floor(hiddenSize / heads));
  if (headDim % 2 !== 0) fields.fail('head_dim', headDim, 'an even number, since RoPE turns pairs');
  if (heads * headDim > MOST_FEATURES) fields.fail('head_dim', headDim, `at most ${MOST_FEATURES} in all heads`);
  return headDim;
}

/** A token id or a list of them; −1 and null mean none. */
function tokenIds(fields: ConfigFields, key: string, vocabSize: number): number[] {
  const value = fields.get(key);
  if (value === undefined || value === -1) return [];
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  if (ids.length > 1000) fields.fail(key, value, 'at most 1000 ids');
  return ids.map((id) => {
    if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < vocabSize) return id;
    return fields.fail(key, id, `an id below the vocabulary's ${vocabSize}`);
  });
}

function eosTokenIds(fields: ConfigFields, generationConfig: JsonObject | null, vocabSize: number): number[] {
  const beside = new ConfigFields(generationConfig ?? new Map(), fields.where, 'generation_config.json: ');
  const ids = [...tokenIds(fields, 'eos_token_id', vocabSize), ...tokenIds(beside, 'eos_token_id', vocabSize)];
  return [...new Set(ids)];
}

function parseQuantization(config: ConfigFields, beside: QuantConfigFile | null): QuantizationConfig | null {
  const inConfig = config.get('quantization_config') ?? config.get('compression_config');
  if (inConfig === undefined) return beside && readQuantization(new ConfigFields(beside.fields, beside.where));
  const fields = asJsonObject(inConfig) ?? config.fail('quantization_config', inConfig, 'an object');
  return readQuantization(new ConfigFields(fields, config.where, 'quantization_config.'));
}

function readQuantization(fields: ConfigFields): QuantizationConfig {
  // files of AutoAWQ's early days name no method, but have these keys, which no one else uses
  const unnamed = fields.get('w_bit', 'q_group_size') === undefined ? undefined : 'awq';
  const method = fields.get('quant_method') ?? unnamed;
  if (typeof method !== 'string' || method.toLowerCase() !== 'awq') return fields.fail('quant_method', method, 'awq');
  const bits = fields.get('bits', 'w_bit') ?? 4;
  if (bits !== 4) return fields.fail('bits', bits, '4');
  const groupSize = fields.get('group_size', 'q_group_size') ?? 128;
  if (groupSize !== -1 && !isCount(groupSize))
    return fields.fail('group_size', groupSize, 'a whole number over 0, or -1');
  return {
    method: 'awq',
    bits: 4,
    groupSize: groupSize === -1 ? Infinity : groupSize,
    zeroPoint: fields.flag('zero_point', true),
    version: fields.text(['version'], 'gemm').toLowerCase(),
  };
}

const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isInteger(value) && value >= 1;
