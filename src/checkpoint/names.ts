import { nearest } from '../base/errors.js';
import type { LlamaConfig } from './config.js';

/** What differs between the names that tools write and those used here, which are Hugging Face's for LLaMA. */
const RENAMES: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  // the language part of a checkpoint that holds more than one model
  [/^language_model\./, ''],
  // saved from the inner model alone
  [/^(?=(?:layers|embed_tokens|norm)\.)/, 'model.'],
  // llm-awq's name in its present layout
  [/\.scaled_zeros$/, '.qzeros'],
];

/** The name by which this library knows a tensor of a file. */
export const canonicalName = (name: string): string =>
  RENAMES.reduce((renamed, [pattern, replacement]) => renamed.replace(pattern, replacement), name);

/** Modules by the names of llama.cpp; `blk.N.` stands before those of a layer. */
const GGUF_MODULES: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
};
const GGUF_LAYER_MODULES: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_norm: 'post_attention_layernorm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
};

/** The name by which this library knows a tensor of a GGUF file, or null for one that no LLaMA has. */
export function nameOfGguf(name: string): string | null {
  const [, layer, module, part] = /^(?:blk\.(0|[1-9]\d{0,4})\.)?(\w+)\.(weight|bias)$/.exec(name) ?? [];
  const known = layer === undefined ? GGUF_MODULES : GGUF_LAYER_MODULES;
  if (module === undefined || !Object.hasOwn(known, module)) return null;
  return `${layer === undefined ? '' : `model.layers.${layer}.`}${known[module]}.${part}`;
}

/** The name that GGUF files have for a tensor of this library's name: the inverse of `nameOfGguf`. */
export function ggufNameOf(name: string): string | null {
  const [, layer, module, part] = /^(?:model\.layers\.(\d+)\.)?([\w.]+)\.(weight|bias)$/.exec(name) ?? [];
  const known = layer === undefined ? GGUF_MODULES : GGUF_LAYER_MODULES;
  const found = Object.entries(known).find(([, ours]) => ours === module);
  return found ? `${layer === undefined ? '' : `blk.${layer}.`}${found[0]}.${part}` : null;
}

export const EMBEDDING = 'model.embed_tokens';
const FINAL_NORM = 'model.norm';
export const LM_HEAD = 'lm_head';

/** A module of a LLaMA and what its weights must be. */
export interface ModuleSpec {
  readonly name: string;
  readonly kind: 'linear' | 'norm' | 'embedding';
  /** [out, in] of a matrix, [d_model] of a norm's gain. */
  readonly shape: readonly number[];
  /** Whether the config promises a bias; one that is there is used in any case. */
  readonly bias: boolean;
}

/** The modules of one decoder layer, in the order of a pass. */
export function layerModules(config: LlamaConfig, layer: number): ModuleSpec[] {
  const { hiddenSize, intermediateSize, headDim, numAttentionHeads, numKeyValueHeads, attentionBias, mlpBias } = config;
  const [q, kv] = [numAttentionHeads * headDim, numKeyValueHeads * headDim];
  const prefix = `model.layers.${layer}.`;
  const linear = (name: string, out: number, input: number, bias: boolean): ModuleSpec => ({
    name: prefix + name,
    kind: 'linear',
    shape: [out, input],
    bias,
  });
  const norm = (name: string): ModuleSpec => ({ name: prefix + name, kind: 'norm', shape: [hiddenSize], bias: false });
  return [
    norm('input_layernorm'),
    linear('self_attn.q_proj', q, hiddenSize, attentionBias),
    linear('self_attn.k_proj', kv, hiddenSize, attentionBias),
    linear('self_attn.v_proj', kv, hiddenSize, attentionBias),
    linear('self_attn.o_proj', hiddenSize, q, attentionBias),
    norm('post_attention_layernorm'),
    linear('mlp.gate_proj', intermediateSize, hiddenSize, mlpBias),
    linear('mlp.up_proj', intermediateSize, hiddenSize, mlpBias),
    linear('mlp.down_proj', hiddenSize, intermediateSize, mlpBias),
  ];
}

/** The modules outside the layers. `lm_head` is absent from files where it is tied to the embedding. */
export function outerModules({
  vocabSize,
  hiddenSize,
}: LlamaConfig): Record<'embedding' | 'norm' | 'lmHead', ModuleSpec> {
  return {
    embedding: { name: EMBEDDING, kind: 'embedding', shape: [vocabSize, hiddenSize], bias: false },
    norm: { name: FINAL_NORM, kind: 'norm', shape: [hiddenSize], bias: false },
    lmHead: { name: LM_HEAD, kind: 'linear', shape: [vocabSize, hiddenSize], bias: false },
  };
}

/** The known names nearest to one that is not, for errors; bounded work, since a file may hold any names. */
export function nearNames(name: string, known: Iterable<string>): string {
  const few: string[] = [];
  for (const candidate of known) {
    if (candidate.length <= 100) few.push(candidate);
    if (few.length === 2000) break;
  }
  return nearest(name.slice(0, 100), few).join(', ') || 'none';
}
