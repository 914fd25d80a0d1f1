import { f32ToF16 } from '../../src/base/float16.js';
import { randomNumbers } from './random-model.js';
import { bytesOf, tinyCheckpoint, TINY, type TinyOptions } from './tiny-checkpoint.js';

// GGUF files written from the description of the format, consistent or not, without the library's own writer.

/** Types of values by their numbers in the format. */
const VALUE_TYPES = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  text: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;
type ValueType = keyof typeof VALUE_TYPES;

export type GgufValue =
  | { readonly type: Exclude<ValueType, 'array'>; readonly value: string | number | bigint | boolean }
  | { readonly type: 'array'; readonly of: Exclude<ValueType, 'array'>; readonly value: readonly (string | number)[] };

const of =
  (type: Exclude<ValueType, 'array'>) =>
  (value: string | number | bigint | boolean): GgufValue => ({ type, value });

export const u32 = of('u32');
export const f32 = of('f32');
export const u64 = of('u64');
export const bool = of('bool');
export const text = of('text');
export const texts = (value: readonly string[]): GgufValue => ({ type: 'array', of: 'text', value });
export const floats = (value: readonly number[]): GgufValue => ({ type: 'array', of: 'f32', value });
export const int32s = (value: readonly number[]): GgufValue => ({ type: 'array', of: 'i32', value });

/** Numbers of types in files, and bytes and elements of a block. */
export const BLOCKS = {
  F32: [0, 4, 1],
  F16: [1, 2, 1],
  BF16: [30, 2, 1],
  Q4_0: [2, 18, 32],
  Q4_1: [3, 20, 32],
  Q8_0: [8, 34, 32],
  Q4_K: [12, 144, 256],
  Q5_K: [13, 176, 256],
  Q6_K: [14, 210, 256],
} as const;
export type BlockType = keyof typeof BLOCKS;

export interface GgufTestTensor {
  readonly name: string;
  /** A type's name, or any number. */
  readonly type: BlockType | number;
  /** Outermost first. */
  readonly shape: readonly number[];
  readonly data: Uint8Array;
  /** From the start of the data, instead of where it is. */
  readonly offset?: number | bigint;
}

export interface GgufParts {
  readonly metadata: Readonly<Record<string, GgufValue>>;
  readonly tensors: readonly GgufTestTensor[];
}

/** What a file may say other than it is. */
export interface GgufLies {
  readonly magic?: string;
  readonly version?: number;
  readonly tensorCount?: bigint;
  readonly valueCount?: bigint;
  readonly alignment?: number;
}

export function ggufFile({ metadata, tensors }: GgufParts, lies: GgufLies = {}): Uint8Array {
  const { magic = 'GGUF', version = 3, alignment = 32 } = lies;
  const values = Object.entries(metadata);
  const pad = (length: number) => new Uint8Array(-length & (alignment - 1));
  const header = [
    Buffer.from(magic, 'latin1'),
    number('u32', version),
    number('u64', lies.tensorCount ?? BigInt(tensors.length)),
    number('u64', lies.valueCount ?? BigInt(values.length)),
    ...values.flatMap(([key, value]) => [string(key), ...encoded(value)]),
  ];
  const data: Uint8Array[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    const { type, shape } = tensor;
    const id = typeof type === 'number' ? type : BLOCKS[type][0];
    header.push(string(tensor.name), number('u32', shape.length), ...shape.toReversed().map((n) => number('u64', n)));
    header.push(number('u32', id), number('u64', tensor.offset ?? offset));
    data.push(tensor.data, pad(tensor.data.length));
    offset += tensor.data.length + pad(tensor.data.length).length;
  }
  const start = Buffer.concat(header);
  return new Uint8Array(Buffer.concat([start, pad(start.length), ...data]));
}

function encoded(value: GgufValue): Buffer[] {
  const type = number('u32', VALUE_TYPES[value.type]);
  if (value.type !== 'array') return [type, one(value.type, value.value)];
  const elements = value.value.map((element) => one(value.of, element));
  return [type, number('u32', VALUE_TYPES[value.of]), number('u64', elements.length), ...elements];
}

const one = (type: Exclude<ValueType, 'array'>, value: string | number | bigint | boolean): Buffer =>
  typeof value === 'string' ? string(value) : number(type, typeof value === 'boolean' ? Number(value) : value);

const string = (value: string): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([number('u64', bytes.length), bytes]);
};

function number(type: Exclude<ValueType, 'array'>, value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  switch (type) {
    case 'u8':
    case 'i8':
    case 'bool':
      bytes.writeUInt8(Number(value) & 0xff);
      return bytes.subarray(0, 1);
    case 'u16':
    case 'i16':
      bytes.writeUInt16LE(Number(value) & 0xffff);
      return bytes.subarray(0, 2);
    case 'u32':
      bytes.writeUInt32LE(Number(value));
      return bytes.subarray(0, 4);
    case 'i32':
      bytes.writeInt32LE(Number(value));
      return bytes.subarray(0, 4);
    case 'f32':
      bytes.writeFloatLE(Number(value));
      return bytes.subarray(0, 4);
    case 'f64':
      bytes.writeDoubleLE(Number(value));
      return bytes;
    case 'i64':
      bytes.writeBigInt64LE(BigInt(value));
      return bytes;
    default:
      bytes.writeBigUInt64LE(BigInt(value));
      return bytes;
  }
}

/** Metadata of a LLaMA of these sizes. */
export const llamaMetadata = (sizes: {
  readonly layers: number;
  readonly hidden: number;
  readonly ffn: number;
  readonly heads: number;
  readonly kvHeads: number;
}): Record<string, GgufValue> => ({
  'general.architecture': text('llama'),
  'llama.block_count': u32(sizes.layers),
  'llama.context_length': u32(128),
  'llama.embedding_length': u32(sizes.hidden),
  'llama.feed_forward_length': u32(sizes.ffn),
  'llama.attention.head_count': u32(sizes.heads),
  'llama.attention.head_count_kv': u32(sizes.kvHeads),
  'llama.attention.layer_norm_rms_epsilon': f32(1e-5),
});

/** Blocks of random codes and scales, whose float16 scales are small numbers. */
export function randomBlocks(type: BlockType, count: number, random: () => number): Uint8Array {
  const [, bytes] = BLOCKS[type];
  const blocks = Uint8Array.from({ length: count * bytes }, () => random() * 256);
  const halves = type === 'Q6_K' ? [208] : type === 'Q4_0' || type === 'Q8_0' ? [0] : [0, 2];
  const view = new DataView(blocks.buffer);
  for (let block = 0; block < count; block++) {
    for (const at of halves) view.setUint16(block * bytes + at, f32ToF16((random() - 0.3) * 0.004), true);
  }
  return blocks;
}

/** A LLaMA whose matrices are random blocks of one type; one layer, wide enough for blocks of 256. */
export function blockGguf(type: Exclude<BlockType, 'F32' | 'F16' | 'BF16'>, seed = 1): GgufParts {
  const random = randomNumbers(seed);
  const [hidden, ffn, vocab, heads, kvHeads] = BLOCKS[type][2] === 256 ? [256, 256, 24, 8, 4] : [64, 96, 24, 4, 2];
  const kv = (hidden / heads) * kvHeads;
  const tensor = (name: string, shape: readonly number[]): GgufTestTensor => {
    const elements = shape.reduce((a, b) => a * b, 1);
    if (shape.length > 1) {
      return { name: `${name}.weight`, type, shape, data: randomBlocks(type, elements / BLOCKS[type][2], random) };
    }
    const gain = Float32Array.from({ length: elements }, () => 0.5 + random());
    return { name: `${name}.weight`, type: 'F32', shape, data: bytesOf(gain) };
  };
  const tensors = [
    tensor('token_embd', [vocab, hidden]),
    tensor('blk.0.attn_norm', [hidden]),
    tensor('blk.0.attn_q', [hidden, hidden]),
    tensor('blk.0.attn_k', [kv, hidden]),
    tensor('blk.0.attn_v', [kv, hidden]),
    tensor('blk.0.attn_output', [hidden, hidden]),
    tensor('blk.0.ffn_norm', [hidden]),
    tensor('blk.0.ffn_gate', [ffn, hidden]),
    tensor('blk.0.ffn_up', [ffn, hidden]),
    tensor('blk.0.ffn_down', [hidden, ffn]),
    tensor('output_norm', [hidden]),
  ];
  return { metadata: llamaMetadata({ layers: 1, hidden, ffn, heads, kvHeads }), tensors };
}

const NAMES: readonly (readonly [from: RegExp, to: string])[] = [
  [/^model\.layers\.(\d+)\./, 'blk.$1.'],
  [/self_attn\.([qkv])_proj/, 'attn_$1'],
  [/self_attn\.o_proj/, 'attn_output'],
  [/mlp\.(gate|up|down)_proj/, 'ffn_$1'],
  [/input_layernorm/, 'attn_norm'],
  [/post_attention_layernorm/, 'ffn_norm'],
  [/^model\.embed_tokens/, 'token_embd'],
  [/^model\.norm/, 'output_norm'],
  [/^lm_head/, 'output'],
];

/** The tiny float checkpoint as llama.cpp's converter writes it: rows of q and k, and their biases, in pairs. */
export function tinyGguf(options: TinyOptions): GgufParts {
  const { tensors } = tinyCheckpoint(options);
  const { layers, hidden, ffn, heads, kvHeads, headDim } = TINY;
  return {
    metadata: {
      ...llamaMetadata({ layers, hidden, ffn, heads, kvHeads }),
      'llama.rope.dimension_count': u32(headDim),
      'tokenizer.ggml.bos_token_id': u32(1),
      'tokenizer.ggml.eos_token_id': u32(2),
    },
    tensors: Object.entries(tensors).map(([name, { dtype, shape, data }]) => ({
      name: NAMES.reduce((renamed, [from, to]) => renamed.replace(from, to), name),
      type: dtype as BlockType,
      shape,
      data: /[qk]_proj/.test(name) ? paired(bytesOf(data), shape[0], headDim) : bytesOf(data),
    })),
  };
}

/** Row h·d + r·d/2 + i at h·d + 2i + r. */
function paired(data: Uint8Array, rows: number, headDim: number): Uint8Array {
  const rowBytes = data.length / rows;
  const permuted = new Uint8Array(data.length);
  for (let head = 0; head < rows; head += headDim) {
    for (const r of [0, 1]) {
      for (let i = 0; i < headDim / 2; i++) {
        const from = head + (r * headDim) / 2 + i;
        permuted.set(data.subarray(from * rowBytes, (from + 1) * rowBytes), (head + 2 * i + r) * rowBytes);
      }
    }
  }
  return permuted;
}
