import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { convertCheckpoint } from '../../src/checkpoint/convert-checkpoint.js';
import { blockGguf, f32, floats, int32s, text, texts, tinyGguf, type GgufParts } from '../support/gguf-file.js';
import {
  bytesOf,
  safetensorsFile,
  sharded,
  tinyCheckpoint,
  withFolder,
  type FolderFiles,
  type Tensors,
  type TinyOptions,
} from '../support/tiny-checkpoint.js';
import { sentencePieceFile, type TestPiece } from '../tokenizer/support.js';

// What the mutations start from: files of every kind that the library opens, all of them good.

export interface SeedModel {
  readonly config: Record<string, unknown>;
  readonly tensors: Tensors;
}

const ROPES: readonly object[] = [
  { rope_parameters: { rope_theta: 10_000, rope_type: 'default' } },
  { rope_parameters: undefined, rope_theta: 500_000, rope_scaling: null },
  { rope_parameters: { rope_type: 'linear', rope_theta: 10_000, factor: 4 } },
  {
    rope_parameters: undefined,
    rope_theta: 10_000,
    rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 32 },
  },
  {
    rope_parameters: {
      rope_type: 'llama3',
      rope_theta: 500,
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 32,
    },
  },
];

const FORMATS: readonly TinyOptions[] = [
  { weights: 'F32', bias: true },
  { weights: 'BF16', floats: 'BF16', tied: true },
  { weights: 'F16', floats: 'F16' },
  { weights: 'F64', floats: 'F64' },
  { weights: 'gemm', floats: 'F16', bias: true },
  { weights: 'gemm', floats: 'BF16', tied: true },
  { weights: 'gemv', floats: 'F16' },
  { weights: 'gemv_fast', floats: 'F16' },
];

export const models: readonly SeedModel[] = FORMATS.map((options, i) => {
  const { config, tensors } = tinyCheckpoint({ ...options, seed: i + 1 });
  return { config: { ...config, ...ROPES[i % ROPES.length] }, tensors };
});

/** A folder in compute layout, as `convertCheckpoint` writes it of one of these models. */
export interface ComputeModel {
  readonly config: Record<string, unknown>;
  readonly file: Uint8Array;
}

export const computeModels: readonly ComputeModel[] = await Promise.all(
  models.map(({ config, tensors }) =>
    withFolder({ 'config.json': config, 'model.safetensors': safetensorsFile(tensors) }, async (folder) => {
      await convertCheckpoint(folder, join(folder, 'converted'));
      return { config, file: new Uint8Array(readFileSync(join(folder, 'converted', 'model.safetensors'))) };
    }),
  ),
);

export const awqModels = models.filter(({ config }) => 'quantization_config' in config);

const tiny = tinyGguf({ weights: 'F32', bias: true });
const tinyTied = tinyGguf({ weights: 'BF16', floats: 'BF16', tied: true, seed: 2 });
const words = Array.from({ length: 18 }, (_, i) => String.fromCharCode(97 + i));

/** One of each type of blocks, float ones, and both kinds of tokenizer. */
export const ggufModels: readonly GgufParts[] = [
  {
    metadata: {
      ...tiny.metadata,
      'tokenizer.ggml.model': text('llama'),
      'tokenizer.ggml.tokens': texts(['<unk>', '<s>', '</s>', '\u2581', '<tool>', '\u2581a', ...words]),
      'tokenizer.ggml.scores': floats(Array.from({ length: 24 }, (_, id) => -id)),
      'tokenizer.ggml.token_type': int32s([2, 3, 3, 1, 4, 1, ...words.map(() => 1)]),
    },
    tensors: tiny.tensors,
  },
  {
    metadata: {
      ...tinyTied.metadata,
      'llama.rope.scaling.type': text('yarn'),
      'llama.rope.scaling.factor': f32(4),
      'tokenizer.ggml.model': text('gpt2'),
      'tokenizer.ggml.pre': text('llama-bpe'),
      'tokenizer.ggml.tokens': texts([...words, '\u0120', 'ab', '\u0120a', '<|bos|>', '<|eot|>', '<tool>']),
      'tokenizer.ggml.token_type': int32s([...words.map(() => 1), 1, 1, 1, 3, 3, 4]),
      'tokenizer.ggml.merges': texts(['a b', '\u0120 a']),
    },
    tensors: [
      ...tinyTied.tensors,
      { name: 'rope_freqs.weight', type: 'F32', shape: [8], data: bytesOf(new Float32Array(8).fill(1)) },
    ],
  },
  ...(['Q4_0', 'Q4_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K'] as const).map((type, i) => blockGguf(type, i + 1)),
];

export const twoFiles = ({ config, tensors }: SeedModel): FolderFiles => ({
  'config.json': config,
  ...sharded(tensors),
});

const story = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../../data/storyteller-int4/${name}`, import.meta.url)));

interface BpeFile {
  model: { vocab: Record<string, number>; merges: (string | [string, string])[] };
}

/** The bundled model's tokenizer with the first of its pieces alone. */
function shortened(file: Uint8Array, pieces: number): object {
  const json = JSON.parse(new TextDecoder().decode(file)) as BpeFile;
  const vocab = Object.fromEntries(Object.entries(json.model.vocab).filter(([, id]) => id < pieces));
  const merges = json.model.merges.filter((merge) => {
    const [left, right] = typeof merge === 'string' ? merge.split(' ') : merge;
    return [left, right, left + right].every((piece) => Object.hasOwn(vocab, piece));
  });
  return { ...json, model: { ...json.model, vocab, merges } };
}

/** As LLaMA 3 has it: pieces of bytes, a pattern that cuts words, ids added by a template. */
const BYTE_LEVEL = {
  added_tokens: [
    { id: 260, content: '<|begin|>', special: true, normalized: false },
    { id: 261, content: '<|end|>', special: true, normalized: false },
  ],
  normalizer: null,
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      {
        type: 'Split',
        pattern: { Regex: "'s|\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+" },
        behavior: 'Isolated',
        invert: false,
      },
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<|begin|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    special_tokens: { '<|begin|>': { id: '<|begin|>', ids: [260], tokens: ['<|begin|>'] } },
  },
  decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    ignore_merges: true,
    vocab: Object.fromEntries([...byteCharacters(), 'th', 'the', 'in', '\u0120a'].map((piece, id) => [piece, id])),
    merges: ['t h', ['th', 'e'], 'i n', '\u0120 a'],
  },
};

/** GPT-2's printable stand-ins for the 256 bytes, in some order. */
function byteCharacters(): string[] {
  const printable = [
    [0x21, 0x7e],
    [0xa1, 0xac],
    [0xae, 0xff],
  ].flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, i) => String.fromCharCode(from + i)));
  return [...printable, ...Array.from({ length: 256 - printable.length }, (_, i) => String.fromCharCode(256 + i))];
}

const PIECES: readonly TestPiece[] = [
  { text: '<unk>', type: 2 },
  { text: '<s>', type: 3 },
  { text: '</s>', type: 3 },
  ...Array.from({ length: 256 }, (_, byte) => ({
    text: `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
    type: 6,
  })),
  ...['\u2581', 'a', 'b', '\u2581a', 'ab', '\u2581ab', 'the', '\u2581the'].map((text, i) => ({ text, score: -i })),
];

const bytes = (value: object): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

export const tokenizerJsons: readonly Uint8Array[] = [
  bytes(shortened(story('tokenizer.json'), 400)),
  bytes(BYTE_LEVEL),
  story('tokenizer.json'),
];

export const tokenizerModels: readonly Uint8Array[] = [
  sentencePieceFile({
    pieces: PIECES,
    trainer: { 3: 2, 35: 1, 40: 0, 41: 1, 42: 2, 43: -1 },
    normalizer: { 3: 1, 4: 1, 5: 1 },
  }),
  story('tokenizer.model'),
];

/** Beside a tokenizer: BOS, EOS, added tokens. */
export const tokenizerSettings: Readonly<Record<string, Uint8Array>> = {
  'tokenizer_config.json': bytes({
    ...(JSON.parse(new TextDecoder().decode(story('tokenizer_config.json'))) as object),
    added_tokens_decoder: {
      1: { content: '<s>', lstrip: false, normalized: false, rstrip: false, single_word: false, special: true },
      5: { content: '<tool>', lstrip: true, normalized: true, rstrip: true, single_word: false, special: false },
    },
  }),
  'special_tokens_map.json': bytes({
    bos_token: { content: '<s>', lstrip: false },
    eos_token: '</s>',
    additional_special_tokens: ['<tool>'],
  }),
  'added_tokens.json': bytes({ '<tool>': 5 }),
  'generation_config.json': bytes({ bos_token_id: 1, eos_token_id: [2, 5] }),
};
