import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { f32ToBf16, f32ToF16 } from '../../src/base/float16.js';
import type { MatrixStorage } from '../../src/matrix/storage.js';
import { randomNumbers } from './random-model.js';

// Checkpoints of a few kilobytes, written without the library's own writers, for tests of what reads them.

/** A tensor as it goes into a file. */
export interface FileTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
}

export type Tensors = Record<string, FileTensor>;

/** Files of a folder by name; an object is written as JSON. */
export type FolderFiles = Readonly<Record<string, string | Uint8Array | object>>;

export const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** A safetensors file of any header, consistent or not. */
export function withHeader(header: string | object, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + json.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  file.set(data, 8 + json.length);
  return file;
}

/** Tensors one after the other in the order given; the data starts at a multiple of 8, as Hugging Face's writer has it. */
export function safetensorsFile(tensors: Tensors, metadata?: Readonly<Record<string, string>>): Uint8Array {
  const header: [name: string, entry: object][] = metadata ? [['__metadata__', metadata]] : [];
  let end = 0;
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    header.push([name, { dtype, shape, data_offsets: [end, (end += data.byteLength)] }]);
  }
  const data = new Uint8Array(end);
  let at = 0;
  for (const tensor of Object.values(tensors)) {
    data.set(bytesOf(tensor.data), at);
    at += tensor.data.byteLength;
  }
  const json = JSON.stringify(Object.fromEntries(header));
  const length = new TextEncoder().encode(json).length;
  return withHeader(json + ' '.repeat(-length & 7), data);
}

/** The two shards of a checkpoint and their index: every second tensor is in the second one. */
export function sharded(tensors: Tensors): FolderFiles {
  const names = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const entries = Object.entries(tensors);
  const parts = names.map((_, part) => Object.fromEntries(entries.filter((_, i) => i % 2 === part)));
  const weightMap = Object.fromEntries(entries.map(([name], i) => [name, names[i % 2]]));
  return {
    [names[0]]: safetensorsFile(parts[0]),
    [names[1]]: safetensorsFile(parts[1]),
    'model.safetensors.index.json': { metadata: { total_size: 0 }, weight_map: weightMap },
  };
}

/** Writes files into a folder, which is made where it is not there. */
export async function writeFiles(folder: string, files: FolderFiles): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    const raw = typeof content === 'string' || content instanceof Uint8Array;
    await writeFile(join(folder, name), raw ? content : JSON.stringify(content));
  }
}

/** Runs `use` with a new folder that holds the given files, and removes it afterwards. */
export async function withFolder<T>(files: FolderFiles, use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'nibblelens-checkpoint-'));
  try {
    await writeFiles(folder, files);
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export type AwqFormat = 'gemm' | 'gemv' | 'gemv_fast';
export type FloatFormat = 'F64' | 'F32' | 'F16' | 'BF16';

export interface TinyOptions {
  /** How the linear layers of the decoder are stored. */
  readonly weights: FloatFormat | AwqFormat;
  /** The dtype of all else. */
  readonly floats?: FloatFormat;
  readonly tied?: boolean;
  readonly bias?: boolean;
  readonly seed?: number;
}

/** Sizes that every format can hold. */
export const TINY = {
  hidden: 64,
  ffn: 64,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  vocab: 24,
  layers: 2,
  group: 32,
} as const;

/** A LLaMA of random weights: its config.json and its tensors. */
export function tinyCheckpoint({ weights, floats = 'F32', tied = false, bias = false, seed = 1 }: TinyOptions): {
  config: Record<string, unknown>;
  tensors: Tensors;
} {
  const random = randomNumbers(seed);
  const isAwq = weights === 'gemm' || weights === 'gemv' || weights === 'gemv_fast';
  const values = (count: number, scale: number) =>
    Float32Array.from({ length: count }, () => (random() + random() + random() - 1.5) * 2 * scale);
  const float = (shape: number[], scale: number, offset = 0, dtype = floats): FileTensor =>
    floatTensor(
      dtype,
      shape,
      values(
        shape.reduce((a, b) => a * b, 1),
        scale,
      ).map((value) => value + offset),
    );
  const tensors: Tensors = {};
  const linear = (name: string, out: number, input: number) => {
    if (isAwq) Object.assign(tensors, prefixed(`${name}.`, awqTensors(weights, randomCodes(random, out, input))));
    else tensors[`${name}.weight`] = float([out, input], 1 / Math.sqrt(input), 0, weights);
    if (bias) tensors[`${name}.bias`] = float([out], 0.1);
  };
  const { hidden, ffn, heads, kvHeads, headDim, vocab, layers, group } = TINY;
  tensors['model.embed_tokens.weight'] = float([vocab, hidden], 1);
  for (let i = 0; i < layers; i++) {
    const prefix = `model.layers.${i}`;
    tensors[`${prefix}.input_layernorm.weight`] = float([hidden], 0.1, 1);
    linear(`${prefix}.self_attn.q_proj`, heads * headDim, hidden);
    linear(`${prefix}.self_attn.k_proj`, kvHeads * headDim, hidden);
    linear(`${prefix}.self_attn.v_proj`, kvHeads * headDim, hidden);
    linear(`${prefix}.self_attn.o_proj`, hidden, heads * headDim);
    tensors[`${prefix}.post_attention_layernorm.weight`] = float([hidden], 0.1, 1);
    linear(`${prefix}.mlp.gate_proj`, ffn, hidden);
    linear(`${prefix}.mlp.up_proj`, ffn, hidden);
    linear(`${prefix}.mlp.down_proj`, hidden, ffn);
  }
  tensors['model.norm.weight'] = float([hidden], 0.1, 1);
  if (!tied) tensors['lm_head.weight'] = float([vocab, hidden], 1 / Math.sqrt(hidden));
  const config = {
    architectures: ['LlamaForCausalLM'],
    attention_bias: bias,
    bos_token_id: 1,
    dtype: 'float32',
    eos_token_id: 2,
    head_dim: headDim,
    hidden_act: 'silu',
    hidden_size: hidden,
    intermediate_size: ffn,
    max_position_embeddings: 128,
    mlp_bias: bias,
    model_type: 'llama',
    num_attention_heads: heads,
    num_hidden_layers: layers,
    num_key_value_heads: kvHeads,
    rms_norm_eps: 1e-5,
    rope_parameters: { rope_theta: 10_000, rope_type: 'default' },
    tie_word_embeddings: tied,
    vocab_size: vocab,
    ...(isAwq && {
      quantization_config: {
        bits: 4,
        group_size: group,
        modules_to_not_convert: null,
        quant_method: 'awq',
        version: weights,
        zero_point: true,
      },
    }),
  };
  return { config, tensors };
}

/** The files of a folder that holds the model in one file. */
export function tinyFolder(options: TinyOptions): FolderFiles {
  const { config, tensors } = tinyCheckpoint(options);
  return { 'config.json': config, 'model.safetensors': safetensorsFile(tensors, { format: 'pt' }) };
}

export function floatTensor(dtype: FloatFormat, shape: readonly number[], values: Float32Array): FileTensor {
  switch (dtype) {
    case 'F64':
      return { dtype, shape, data: Float64Array.from(values) };
    case 'F32':
      return { dtype, shape, data: values };
    case 'F16':
      return { dtype, shape, data: Uint16Array.from(values, f32ToF16) };
    case 'BF16':
      return { dtype, shape, data: Uint16Array.from(values, f32ToBf16) };
  }
}

/** A 4-bit matrix that is not packed yet; values are (code − zero)·scale. */
export interface AwqMatrix {
  readonly out: number;
  readonly input: number;
  readonly group: number;
  /** [out, input] */
  readonly codes: Uint8Array;
  /** [out, groups] */
  readonly zeros: Uint8Array;
  /** [out, groups], float16 bits */
  readonly scales: Uint16Array;
}

export function randomCodes(random: () => number, out: number, input: number, group: number = TINY.group): AwqMatrix {
  const groups = Math.ceil(input / group);
  return {
    out,
    input,
    group,
    codes: Uint8Array.from({ length: out * input }, () => random() * 16),
    zeros: Uint8Array.from({ length: out * groups }, () => random() * 16),
    scales: Uint16Array.from({ length: out * groups }, () => f32ToF16((0.5 + random()) / (6 * Math.sqrt(input)))),
  };
}

/** Packs as AutoAWQ does, from the description of its layouts: one nibble at a time. */
export function awqTensors(format: AwqFormat, matrix: AwqMatrix): Tensors {
  const { out, input, group, codes, zeros, scales } = matrix;
  const groups = Math.ceil(input / group);
  switch (format) {
    case 'gemm': {
      const qweight = new Int32Array((input * out) / 8);
      const qzeros = new Int32Array((groups * out) / 8);
      // Nibble j of word c is column 8c + order[j].
      const order = [0, 2, 4, 6, 1, 3, 5, 7];
      for (let c = 0; c < out / 8; c++) {
        for (const [j, t] of order.entries()) {
          const n = 8 * c + t;
          for (let k = 0; k < input; k++) qweight[(k * out) / 8 + c] |= codes[n * input + k] << (4 * j);
          for (let g = 0; g < groups; g++) qzeros[(g * out) / 8 + c] |= zeros[n * groups + g] << (4 * j);
        }
      }
      return {
        qweight: { dtype: 'I32', shape: [input, out / 8], data: qweight },
        qzeros: { dtype: 'I32', shape: [groups, out / 8], data: qzeros },
        scales: { dtype: 'F16', shape: [groups, out], data: transposed(scales, out, groups, groups) },
      };
    }
    case 'gemv': {
      const words = paddedGroups(groups, group) / 8;
      const qweight = new Int32Array((out * input) / 8);
      const qzeros = new Int32Array(out * words);
      const stored = new Uint16Array(out * words * 8);
      for (let n = 0; n < out; n++) {
        for (let k = 0; k < input; k++) qweight[(n * input) / 8 + (k >> 3)] |= codes[n * input + k] << (4 * (k % 8));
        for (let g = 0; g < groups; g++) {
          qzeros[n * words + (g >> 3)] |= zeros[n * groups + g] << (4 * (g % 8));
          stored[n * words * 8 + g] = scales[n * groups + g];
        }
      }
      return {
        qweight: { dtype: 'I32', shape: [out, input / 8], data: qweight },
        qzeros: { dtype: 'I32', shape: [out, words], data: qzeros },
        scales: { dtype: 'F16', shape: [out, words * 8], data: stored },
      };
    }
    case 'gemv_fast': {
      const rows = paddedGroups(groups, group);
      const qweight = new Int16Array((out / 4) * input);
      for (let n = 0; n < out; n++) {
        for (let k = 0; k < input; k++) {
          const t = k % 32;
          const p = 32 * Math.floor((k % 64) / 32) + 8 * Math.floor((t % 8) / 2) + 4 * (t % 2) + Math.floor(t / 8);
          const f = 64 * (n % 4) + p;
          const at = Math.floor(n / 4) * input + 64 * Math.floor(k / 64) + Math.floor(f / 4);
          qweight[at] |= codes[n * input + k] << (4 * (f % 4));
        }
      }
      const offsets = scales.map((scale, i) => f32ToF16(-float16(scale) * zeros[i]));
      return {
        qweight: { dtype: 'I16', shape: [out / 4, input], data: qweight },
        qzeros: { dtype: 'F16', shape: [rows, out], data: transposed(offsets, out, groups, rows) },
        scales: { dtype: 'F16', shape: [rows, out], data: transposed(scales, out, groups, rows) },
      };
    }
  }
}

/** AutoAWQ's `calculate_zeros_width`, in groups: a multiple of 8, of 16 for groups of 64, of 32 for those of 32. */
const paddedGroups = (groups: number, group: number): number => {
  const multiple = group >= 128 ? 8 : group === 64 ? 16 : 32;
  return Math.ceil(groups / multiple) * multiple;
};

/** [out, groups] → [rows, out], rows from `groups` on zero. */
function transposed(values: Uint16Array, out: number, groups: number, rows: number): Uint16Array {
  const result = new Uint16Array(rows * out);
  for (let n = 0; n < out; n++) for (let g = 0; g < groups; g++) result[g * out + n] = values[n * groups + g];
  return result;
}

/** A float16's value by its definition; of normal numbers and zero, which is all that is asked here. */
const float16 = (bits: number): number =>
  bits === 0 ? 0 : (1 + (bits & 1023) / 1024) * 2 ** (((bits >> 10) & 31) - 15) * (bits & 0x8000 ? -1 : 1);

export const prefixed = (prefix: string, tensors: Tensors): Tensors =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [prefix + name, tensor]));

/** The numbers of a matrix that must be a float one. */
export function denseValues(storage: MatrixStorage): Float32Array | Uint16Array {
  assert(storage.kind === 'dense');
  return storage.values;
}
