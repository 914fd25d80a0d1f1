import {
  BLOCKS,
  ggufFile,
  type BlockType,
  type GgufLies,
  type GgufParts,
  type GgufTestTensor,
  type GgufValue,
} from '../support/gguf-file.js';
import { mutateBytes } from './mutate-bytes.js';
import type { Draws } from './random.js';

const NUMBERS = [0, 1, 2, 3, 4, 7, 8, 16, 24, 32, 64, 128, 255, 256, 2 ** 16, 2 ** 22, 2 ** 31, 2 ** 32 - 1] as const;
const FLOATS = [0, -1, 1e-38, 0.5, 1, 2, 4, 1e4, 1e30, Infinity, NaN] as const;
const WORDS = ['', 'llama', 'gpt2', 'none', 'linear', 'yarn', 'llama-bpe', 'a', '\u2581a', '<0xZZ>', '\0'] as const;
const KEYS = [
  'general.architecture',
  'general.alignment',
  'split.count',
  'llama.attention.key_length',
  'llama.attention.value_length',
  'llama.expert_count',
  'llama.rope.dimension_count',
  'llama.rope.freq_base',
  'llama.rope.scaling.type',
  'llama.rope.scaling.factor',
  'llama.rope.scaling.original_context_length',
  'llama.rope.scale_linear',
  'tokenizer.ggml.model',
  'tokenizer.ggml.pre',
  'tokenizer.ggml.add_bos_token',
  'tokenizer.ggml.add_space_prefix',
  'tokenizer.ggml.bos_token_id',
  'tokenizer.ggml.unknown_token_id',
  '__proto__',
  '',
] as const;
const NAMES = [
  'output.weight',
  'output.bias',
  'token_embd.weight',
  'rope_freqs.weight',
  'blk.0.attn_q.bias',
  'blk.0.ffn_up.weight',
  'blk.1.attn_norm.weight',
  'blk.99999.attn_norm.weight',
  'blk.0.attn_sub_norm.weight',
  '__proto__',
  '',
] as const;
/** Bits of 16-bit floats: zeros, infinities, NaN, subnormals, the largest. */
const HALVES = [0, 0x8000, 0x7c00, 0xfc00, 0x7c01, 0xffff, 1, 0x7bff, 0x3c00] as const;
const COUNTS = [0n, 1n, 2n, 2n ** 14n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n] as const;
const LARGEST = 2 ** 20;

/** Changes metadata, tensors, or what the header says of itself, in a file that is else as it should be. */
export function mutateGguf({ metadata, tensors }: GgufParts, draws: Draws): Uint8Array {
  const values = { ...metadata };
  let changed = [...tensors];
  const lies: GgufLies = draws.once(12) ? lie(draws) : {};
  for (let edits = 1 + draws.below(draws.pick([1, 1, 2, 4])); edits > 0; edits--) {
    if (draws.once(2)) changeValue(values, draws);
    else changed = changeTensor(changed, draws);
  }
  const file = ggufFile({ metadata: values, tensors: changed }, lies);
  return draws.once(6) ? mutateBytes(file, draws) : file;
}

/** Changes bits of scales and codes, whatever they are. */
export function mutateGgufData({ metadata, tensors }: GgufParts, draws: Draws): Uint8Array {
  const changed = [...tensors];
  for (let edits = 1 + draws.below(4); edits > 0; edits--) {
    const at = draws.below(changed.length);
    const data = changed[at].data.slice();
    const halves = new Uint16Array(data.buffer, 0, data.length >> 1);
    if (draws.once(2)) halves[draws.below(halves.length)] = draws.pick(HALVES);
    else if (draws.once(6)) data.fill(draws.pick([0, 0xff, 0x7f, 0x80]));
    else for (let count = 1 + draws.below(64); count > 0; count--) data[draws.below(data.length)] = draws.below(256);
    changed[at] = { ...changed[at], data };
  }
  const file = ggufFile({ metadata, tensors: changed });
  return draws.once(6) ? file.slice(0, draws.below(file.length)) : file;
}

function lie(draws: Draws): GgufLies {
  switch (draws.below(5)) {
    case 0:
      return { version: draws.pick([0, 1, 2, 4, 0x03000000]) };
    case 1:
      return { tensorCount: draws.pick(COUNTS) };
    case 2:
      return { valueCount: draws.pick(COUNTS) };
    case 3:
      return { alignment: draws.pick([1, 2, 8, 64, 4096]) };
    default:
      return { magic: draws.pick(['GGML', 'ggjt', 'FUGG']) };
  }
}

function changeValue(values: Record<string, GgufValue>, draws: Draws): void {
  const keys = Object.keys(values);
  const key = draws.once(2) && keys.length > 0 ? draws.pick(keys) : draws.pick(KEYS);
  if (draws.once(5)) delete values[key];
  else values[key] = draws.once(2) && Object.hasOwn(values, key) ? altered(values[key], draws) : anyValue(draws);
}

function anyValue(draws: Draws): GgufValue {
  switch (draws.below(6)) {
    case 0:
      return { type: 'u32', value: draws.pick(NUMBERS) };
    case 1:
      return { type: 'u64', value: draws.pick(COUNTS) };
    case 2:
      return { type: 'f32', value: draws.pick(FLOATS) };
    case 3:
      return { type: 'bool', value: draws.once(2) };
    case 4:
      return { type: 'array', of: 'text', value: Array.from({ length: draws.below(40) }, () => draws.pick(WORDS)) };
    default:
      return { type: 'text', value: draws.pick(WORDS) };
  }
}

/** Another value of the same type. */
function altered(value: GgufValue, draws: Draws): GgufValue {
  if (value.type === 'text') return { ...value, value: draws.pick(WORDS) };
  if (value.type === 'f32') return { ...value, value: draws.pick(FLOATS) };
  if (value.type !== 'array') return { ...value, value: draws.pick(NUMBERS) };
  const elements = [...value.value];
  const at = draws.below(elements.length + 1);
  if (draws.once(3)) elements.splice(at, 1 + draws.below(4));
  else if (value.of === 'text') elements.splice(at, draws.below(2), draws.pick(WORDS));
  else elements.splice(at, draws.below(2), draws.pick([0, 1, 2, 3, 4, 6, 7, -1]));
  return { ...value, value: elements };
}

function changeTensor(tensors: readonly GgufTestTensor[], draws: Draws): GgufTestTensor[] {
  if (tensors.length === 0) return [];
  const at = draws.below(tensors.length);
  const tensor = tensors[at];
  switch (draws.below(8)) {
    case 0:
      return tensors.toSpliced(at, 1);
    case 1:
      return tensors.with(at, { ...tensor, name: draws.pick(NAMES) });
    case 2: {
      const other = draws.below(tensors.length);
      const its = tensors[other];
      return tensors.with(at, { ...its, name: tensor.name }).with(other, { ...tensor, name: its.name });
    }
    case 3:
      return [...tensors, { ...tensor, name: draws.pick(NAMES) }];
    case 4:
      return tensors.with(at, fitted({ ...tensor, type: draws.pick(Object.keys(BLOCKS) as BlockType[]) }));
    case 5:
      return tensors.with(at, { ...tensor, type: draws.pick([4, 6, 7, 10, 15, 31, 1000, 2 ** 32 - 1]) });
    case 6:
      return tensors.with(at, { ...tensor, offset: draws.pick([0, 4, 32, 4096, 2n ** 32n, 2n ** 64n - 32n]) });
    default:
      return tensors.with(at, fitted({ ...tensor, shape: otherShape(tensor.shape, draws) }));
  }
}

function otherShape(shape: readonly number[], draws: Draws): number[] {
  const sizes = [...shape];
  const at = draws.below(sizes.length + 1);
  switch (draws.below(6)) {
    case 0:
      return sizes.reverse();
    case 1:
      return sizes.toSpliced(at, 0, draws.pick([0, 1, 2]));
    case 2:
      return sizes.toSpliced(at, 1);
    default:
      return sizes.toSpliced(at, 1, draws.pick([0, 1, 2, 8, 16, 32, 63, 64, 96, 256, 2 ** 31]));
  }
}

/** The tensor with as many bytes as its shape and type need, as far as that is possible: its own over and over. */
function fitted(tensor: GgufTestTensor): GgufTestTensor {
  if (typeof tensor.type === 'number') return tensor;
  const [, bytes, elements] = BLOCKS[tensor.type];
  const length = Math.ceil(tensor.shape.reduce((a, b) => a * b, 1) / elements) * bytes;
  if (length > LARGEST || tensor.data.length === 0) return tensor;
  return { ...tensor, data: Uint8Array.from({ length }, (_, i) => tensor.data[i % tensor.data.length]) };
}
