import { readFileSync } from 'node:fs';
import { readGolden } from './golden.js';

/** Hidden states as transformers counts them (0: embedding, i: after layer i − 1), the final norm's, and the logits. */
export interface Float64Pass {
  readonly hidden: Float64Array[]; // [pos, d_model] each
  readonly norm: Float64Array; // [pos, d_model]
  readonly logits: Float64Array; // [pos, vocab]
}

interface TextbookConfig {
  hidden_size: number;
  num_hidden_layers: number;
  num_attention_heads: number;
  num_key_value_heads: number;
  head_dim?: number;
  rms_norm_eps: number;
  rope_parameters: { rope_type: string; rope_theta: number };
}

/**
 * A float LLaMA with plain RoPE computed in float64 throughout, from the textbook and without any code of the library:
 * what all float32 implementations approximate. RoPE's frequencies alone are rounded to float32, as they are stored.
 */
export function float64Pass(folder: string, ids: Int32Array): Float64Pass {
  const config = JSON.parse(readFileSync(`${folder}/config.json`, 'utf8')) as TextbookConfig;
  const tensors = readGolden(`${folder}/model.safetensors`);
  const { hidden_size: dModel, rms_norm_eps: eps, rope_parameters: rope } = config;
  const [heads, kvHeads] = [config.num_attention_heads, config.num_key_value_heads];
  const dHead = config.head_dim ?? dModel / heads;
  if (rope.rope_type !== 'default') throw new Error(`RoPE of type ${rope.rope_type} is not in this textbook`);
  const tensor = (name: string) => {
    const found = tensors.get(name);
    if (!found) throw new Error(`no ${name} in ${folder}`);
    return found;
  };
  const linear = (x: Float64Array, name: string): Float64Array => {
    const { shape, values } = tensor(name);
    const [out, input] = shape;
    return Float64Array.from({ length: (x.length / input) * out }, (_, at) => {
      const [row, n] = [Math.floor(at / out), at % out];
      let sum = 0;
      for (let k = 0; k < input; k++) sum += x[row * input + k] * values[n * input + k];
      return sum;
    });
  };
  const norm = (x: Float64Array, name: string): Float64Array => {
    const { values: gain } = tensor(name);
    return x.map((value, at) => {
      const row = x.subarray(at - (at % dModel), at - (at % dModel) + dModel);
      return (value * gain[at % dModel]) / Math.sqrt(row.reduce((sum, each) => sum + each * each, 0) / dModel + eps);
    });
  };
  const rotated = (x: Float64Array, count: number): Float64Array =>
    x.map((value, at) => {
      const [pos, i] = [Math.floor(at / (count * dHead)), at % dHead];
      const half = dHead / 2;
      const angle = pos * Math.fround(1 / Math.fround(rope.rope_theta ** Math.fround((2 * (i % half)) / dHead)));
      const other = i < half ? -x[at + half] : x[at - half];
      return value * Math.cos(angle) + other * Math.sin(angle);
    });
  const attention = (q: Float64Array, k: Float64Array, v: Float64Array): Float64Array => {
    const z = new Float64Array(q.length);
    for (let pos = 0; pos < ids.length; pos++) {
      for (let head = 0; head < heads; head++) {
        const kv = Math.floor(head / (heads / kvHeads));
        const row = (x: Float64Array, at: number, of: number, count: number) =>
          x.subarray((at * count + of) * dHead, (at * count + of + 1) * dHead);
        const query = row(q, pos, head, heads);
        const scores = Array.from({ length: pos + 1 }, (_, key) =>
          row(k, key, kv, kvHeads).reduce((sum, each, i) => sum + (each * query[i]) / Math.sqrt(dHead), 0),
        );
        const most = Math.max(...scores);
        const total = scores.reduce((sum, score) => sum + Math.exp(score - most), 0);
        const out = row(z, pos, head, heads);
        scores.forEach((score, key) =>
          row(v, key, kv, kvHeads).forEach((each, i) => (out[i] += (Math.exp(score - most) / total) * each)),
        );
      }
    }
    return z;
  };
  const add = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value + b[i]);

  const embedding = tensor('model.embed_tokens.weight').values;
  let x: Float64Array = Float64Array.from({ length: ids.length * dModel }, (_, at) => {
    return embedding[ids[Math.floor(at / dModel)] * dModel + (at % dModel)];
  });
  const hidden = [x];
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = `model.layers.${i}`;
    const a = norm(x, `${layer}.input_layernorm.weight`);
    const [q, k, v] = ['q', 'k', 'v'].map((name) => linear(a, `${layer}.self_attn.${name}_proj.weight`));
    const z = attention(rotated(q, heads), rotated(k, kvHeads), v);
    x = add(x, linear(z, `${layer}.self_attn.o_proj.weight`));
    const m = norm(x, `${layer}.post_attention_layernorm.weight`);
    const [gate, up] = ['gate', 'up'].map((name) => linear(m, `${layer}.mlp.${name}_proj.weight`));
    x = add(
      x,
      linear(
        gate.map((g, at) => (g / (1 + Math.exp(-g))) * up[at]),
        `${layer}.mlp.down_proj.weight`,
      ),
    );
    hidden.push(x);
  }
  const final = norm(x, 'model.norm.weight');
  return { hidden, norm: final, logits: linear(final, 'lm_head.weight') };
}
