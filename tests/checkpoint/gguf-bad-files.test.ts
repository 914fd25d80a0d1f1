import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { CheckpointError } from '../../src/base/errors.js';
import { inspectCheckpoint, openCheckpoint } from '../../src/checkpoint/index.js';
import { loadModel } from '../../src/index.js';
import {
  blockGguf,
  bool,
  f32,
  floats,
  ggufFile,
  int32s,
  text,
  texts,
  tinyGguf,
  u32,
  u64,
  type GgufLies,
  type GgufParts,
  type GgufTestTensor,
  type GgufValue,
} from '../support/gguf-file.js';
import { says, type Expected } from '../support/says.js';
import { bytesOf, withFolder } from '../support/tiny-checkpoint.js';

const FILE = 'model.gguf';
const tiny = tinyGguf({ weights: 'F32' });

const lying = (lies: GgufLies): Uint8Array => ggufFile(tiny, lies);
const withValues = (values: Record<string, GgufValue>): Uint8Array =>
  ggufFile({ ...tiny, metadata: { ...tiny.metadata, ...values } });
const without = (key: string): Uint8Array =>
  ggufFile({ ...tiny, metadata: Object.fromEntries(Object.entries(tiny.metadata).filter(([name]) => name !== key)) });
const withTensor = (name: string, change: Partial<GgufTestTensor>): Uint8Array => {
  const tensors = tiny.tensors.map((tensor) => (tensor.name === name ? { ...tensor, ...change } : tensor));
  return ggufFile({ ...tiny, tensors });
};
const withMore = (...more: GgufTestTensor[]): Uint8Array => ggufFile({ ...tiny, tensors: [...tiny.tensors, ...more] });

/** A header of raw bytes after the two counts. */
function raw(tensors: bigint, values: bigint, ...rest: Uint8Array[]): Uint8Array {
  const start = ggufFile({ metadata: {}, tensors: [] }, { tensorCount: tensors, valueCount: values }).subarray(0, 24);
  return new Uint8Array(Buffer.concat([start, ...rest]));
}
const u64Bytes = (value: bigint): Uint8Array => bytesOf(BigUint64Array.of(value));
const u32Bytes = (value: number): Uint8Array => bytesOf(Uint32Array.of(value));
const name = (value: string): Uint8Array => Buffer.concat([u64Bytes(BigInt(value.length)), Buffer.from(value)]);

/** Every file is refused alike by whatever opens it. */
function refuses(cases: Record<string, [file: Uint8Array | string, Expected]>): void {
  for (const [what, [file, parts]] of Object.entries(cases)) {
    test(what, async () => {
      await withFolder({ [FILE]: file }, async (folder) => {
        const path = join(folder, FILE);
        for (const open of [openCheckpoint, inspectCheckpoint, loadModel]) {
          await assert.rejects(open(path), says(path, parts));
        }
        await assert.rejects(openCheckpoint(path, { load: 'copy' }), says(path, parts));
      });
    });
  }
}

describe('files that are no GGUF file', () => {
  const kind = { thing: 'kind of file', expected: 'a GGUF file' };
  refuses({
    'an empty file': ['', { ...kind, found: 'starts with ""' }],
    'a file of 20 bytes': [
      lying({}).subarray(0, 20),
      { thing: 'file length', found: '20 bytes', expected: 'at least 24' },
    ],
    'another magic number': [lying({ magic: 'GGUX' }), { ...kind, found: '"GGUX"' }],
    'a safetensors file': ['\x40\0\0\0\0\0\0\0{"__metadata__":{}}', { ...kind, found: 'a safetensors file' }],
    'a file of before GGUF': [lying({ magic: 'tjgg' }), { ...kind, found: 'of before GGUF' }],
    'a Git LFS pointer': ['version https://git-lfs.github.com/spec/v1\n', { ...kind, found: 'Git LFS' }],
    'a page': ['<!DOCTYPE html><html></html>', { ...kind, found: 'HTML' }],
    'version 1': [
      lying({ version: 1 }),
      { thing: 'version', found: '1', expected: 'version 2 or 3', where: ', byte 4' },
    ],
    'version 4': [lying({ version: 4 }), { thing: 'version', found: '4', expected: 'version 2 or 3' }],
    'big-endian': [
      lying({ version: 0x03000000 }),
      { thing: 'version', found: 'version 3, big-endian', expected: 'little-endian' },
    ],
  });

  test('no file, or a folder', async () => {
    await withFolder({}, async (folder) => {
      const path = join(folder, FILE);
      const parts = { thing: 'GGUF file', found: 'no such file', expected: 'a file that can be read' };
      await assert.rejects(openCheckpoint(path), says(path, parts));
      await mkdir(path);
      await assert.rejects(openCheckpoint(path), says(path, { ...parts, found: 'a folder', expected: 'a file' }));
    });
  });
});

describe('headers that cannot be', () => {
  const most = 2n ** 64n - 1n;
  refuses({
    'more tensors than any model has': [
      raw(most, 0n),
      { thing: 'number of tensors', found: String(most), expected: 'at most', where: ', byte 8' },
    ],
    'more values than any file has': [
      raw(0n, most),
      { thing: 'number of values', found: String(most), expected: 'at most', where: ', byte 16' },
    ],
    'a tensor that is not there': [
      raw(1n, 0n),
      { thing: 'name of tensor 0', found: 'end of the file, at byte 24', expected: '8 bytes more' },
    ],
    'a key that is not there': [raw(0n, 1n), { thing: 'key 0', found: 'end of the file', expected: 'bytes more' }],
    'a key of 2^63 bytes': [
      raw(0n, 1n, u64Bytes(2n ** 63n)),
      { thing: 'length of key 0', found: String(2n ** 63n), expected: 'at most 1024' },
    ],
    'a text of 2^63 bytes': [
      raw(0n, 1n, name('a'), u32Bytes(8), u64Bytes(2n ** 63n)),
      { thing: 'length of "a"', found: String(2n ** 63n), expected: 'at most 0' },
    ],
    'an array of 2^63 numbers': [
      raw(0n, 1n, name('a'), u32Bytes(9), u32Bytes(4), u64Bytes(2n ** 63n), new Uint8Array(100)),
      { thing: 'elements of "a"', found: String(2n ** 63n), expected: 'at most 25' },
    ],
    'an array of 2^32 texts': [
      raw(0n, 1n, name('a'), u32Bytes(9), u32Bytes(8), u64Bytes(2n ** 32n), new Uint8Array(100)),
      { thing: 'elements of "a"', found: String(2n ** 32n), expected: 'at most 12' },
    ],
    'a text of an array that is longer than the file': [
      raw(0n, 1n, name('a'), u32Bytes(9), u32Bytes(8), u64Bytes(2n), u64Bytes(0n), u64Bytes(2n ** 33n)),
      { thing: 'length of text 1 of "a"', found: String(2n ** 33n), expected: 'at most 0' },
    ],
    'arrays within arrays, deeper than any': [
      raw(0n, 1n, name('a'), u32Bytes(9), ...Array.from({ length: 9 }, () => [u32Bytes(9), u64Bytes(1n)]).flat()),
      { thing: 'arrays within "a"', found: 'more', expected: 'at most 4' },
    ],
    'a value of no type': [
      raw(0n, 1n, name('a'), u32Bytes(13), u64Bytes(0n)),
      { thing: 'type of "a"', found: '13', expected: '0 to 12' },
    ],
    'a key twice': [
      raw(0n, 2n, name('a'), u32Bytes(4), u32Bytes(0), name('a'), u32Bytes(4), u32Bytes(0)),
      { thing: 'key', found: '"a" twice', expected: 'each key once' },
    ],
    'a tensor of five axes': [
      raw(1n, 0n, name('a'), u32Bytes(5), new Uint8Array(100)),
      { thing: 'axes of tensor "a"', found: '5', expected: 'at most 4' },
    ],
    'a file that ends within its metadata': [
      lying({}).subarray(0, 300),
      { thing: /./, found: /the end of the file, at byte 300|\d/, expected: /./ },
    ],
    'a file in parts': [
      withValues({ 'split.count': u32(2) }),
      { thing: 'split.count', found: '2', expected: 'not supported' },
    ],
    'an alignment that is no power of two': [
      withValues({ 'general.alignment': u32(24) }),
      { thing: 'general.alignment', found: '24', expected: 'a power of two' },
    ],
    'an alignment of 0': [
      withValues({ 'general.alignment': u32(0) }),
      { thing: 'general.alignment', found: '0', expected: 'a power of two' },
    ],
    'an alignment that is a text': [
      withValues({ 'general.alignment': text('32') }),
      { thing: 'general.alignment', found: '"32"', expected: 'a power of two' },
    ],
  });
});

describe('tensors that cannot be', () => {
  const where = 'tensor "blk.0.ffn_up.weight"';
  const up = 'blk.0.ffn_up.weight';
  const blocks = blockGguf('Q4_0');
  refuses({
    'a type that is not read': [
      withTensor(up, { type: 10 }),
      { thing: 'type', found: 'Q2_K', expected: 'F32 F16 Q4_0 Q4_1 Q8_0 Q4_K Q5_K Q6_K BF16', where },
    ],
    'a type that there is none of': [
      withTensor(up, { type: 4000 }),
      { thing: 'type', found: 'number 4000', expected: 'Q4_0', where },
    ],
    'no axes': [withTensor(up, { shape: [] }), { thing: 'shape', found: '[]', expected: '1 or more', where }],
    'a size of 0': [
      withTensor(up, { shape: [64, 0] }),
      { thing: 'shape', found: '[0, 64]', expected: '1 or more', where },
    ],
    'sizes whose product wraps around': [
      withTensor(up, { shape: [2 ** 31, 2 ** 31, 4] }),
      { thing: 'range', found: /^bytes \d+ to 7378697629\d{10}$/, expected: 'within the', where },
    ],
    'a row that is no whole number of blocks': [
      withTensor(up, { type: 'Q6_K' }),
      { thing: 'row', found: '64 elements', expected: 'a multiple of 256, the block of Q6_K', where },
    ],
    'an offset that is not aligned': [
      withTensor(up, { offset: 4 }),
      { thing: 'offset', found: 'byte 4', expected: 'the alignment, 32', where },
    ],
    'an offset beyond the end': [
      withTensor(up, { offset: 2n ** 40n }),
      { thing: 'range', found: `bytes ${2 ** 40} to`, expected: 'within the', where },
    ],
    'an offset that is negative': [
      withTensor(up, { offset: 2n ** 64n - 32n }),
      { thing: 'range', found: `bytes ${2n ** 64n - 32n} to`, expected: 'within the', where },
    ],
    'two at one place': [
      withTensor(up, { offset: 0 }),
      { thing: 'start of a tensor', found: /^byte \d+$/, expected: 'or later, where', where: /tensor "(blk|token)/ },
    ],
    'a file that ends within its data': [
      lying({}).subarray(0, -200),
      { thing: 'range', found: 'to', expected: 'bytes after the header', where: /tensor "(output|blk)/ },
    ],
    'a name twice': [
      withMore(tiny.tensors[0]),
      { thing: 'tensor', found: '"token_embd.weight" twice', expected: 'each once' },
    ],
    'one that no LLaMA has': [
      withMore({ name: 'blk.0.attn_q_norm.weight', type: 'F32', shape: [16], data: new Uint8Array(64) }),
      { thing: 'tensor', found: '"blk.0.attn_q_norm.weight"', expected: 'a LLaMA' },
    ],
    'a missing one': [
      ggufFile({ ...tiny, tensors: tiny.tensors.filter(({ name: each }) => each !== up) }),
      { thing: 'tensor model.layers.0.mlp.up_proj.weight', found: 'nothing', expected: 'that tensor' },
    ],
    'no embedding': [
      ggufFile({ ...tiny, tensors: tiny.tensors.slice(1) }),
      { thing: 'tensor model.embed_tokens.weight', found: 'nothing', expected: 'that tensor' },
    ],
    'a shape that the metadata do not give': [
      withValues({ 'llama.feed_forward_length': u32(32) }),
      { thing: 'shape', found: '[64, 64]', expected: '[32, 64], as its metadata say', where: 'tensor "blk.0.ffn_gate' },
    ],
    'a norm in blocks': [
      ggufFile({
        ...blocks,
        tensors: blocks.tensors.map((tensor) =>
          tensor.name === 'output_norm.weight' ? { ...tensor, type: 'Q4_0', data: new Uint8Array(36) } : tensor,
        ),
      }),
      { thing: 'type', found: 'Q4_0', expected: 'F32 or F16 or BF16', where: 'tensor "output_norm.weight"' },
    ],
  });

  for (const type of ['Q4_0', 'Q4_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K'] as const) {
    test(`${type}: a scale that is not finite is found where it is`, async () => {
      const parts = blockGguf(type);
      const rowBlocks = type.endsWith('K') ? 1 : 2;
      const places = { Q4_0: [0], Q8_0: [0], Q4_1: [0, 2], Q4_K: [0, 2], Q5_K: [0, 2], Q6_K: [208] }[type];
      for (const place of places) {
        const tensors = parts.tensors.map((tensor) => {
          if (tensor.name !== 'blk.0.attn_k.weight') return tensor;
          const data = tensor.data.slice();
          const blockBytes = data.length / (tensor.shape[0] * rowBlocks);
          new DataView(data.buffer).setUint16((5 * rowBlocks + rowBlocks - 1) * blockBytes + place, 0xfe01, true);
          return { ...tensor, data };
        });
        await withFolder({ [FILE]: ggufFile({ ...parts, tensors }) }, async (folder) => {
          const path = join(folder, FILE);
          const where = `tensor "blk.0.attn_k.weight", row 5, block ${rowBlocks - 1}`;
          const expected = { thing: 'scale', found: 'infinity or NaN', expected: 'a finite number', where };
          await assert.rejects(loadModel(path), says(path, expected));
        });
      }
    });
  }
});

describe('metadata that cannot be', () => {
  const positive = { expected: 'a number over 0' };
  const factors = (values: number[], type: 'F32' | 'Q8_0' = 'F32'): GgufTestTensor => {
    const data = type === 'F32' ? bytesOf(Float32Array.from(values)) : new Uint8Array((values.length / 32) * 34);
    return { name: 'rope_freqs.weight', type, shape: [values.length], data };
  };
  refuses({
    'another architecture': [
      withValues({ 'general.architecture': text('qwen2') }),
      { thing: 'general.architecture', found: '"qwen2"', expected: '"llama"' },
    ],
    'no architecture': [
      without('general.architecture'),
      { thing: 'general.architecture', found: 'nothing', expected: '"llama"' },
    ],
    'a mixture of experts': [
      withValues({ 'llama.expert_count': u32(8) }),
      { thing: 'llama.expert_count', found: '8', expected: 'not supported' },
    ],
    ...Object.fromEntries(
      [
        'llama.block_count',
        'llama.context_length',
        'llama.embedding_length',
        'llama.feed_forward_length',
        'llama.attention.head_count',
        'llama.attention.layer_norm_rms_epsilon',
      ].map((key) => [`no ${key}`, [without(key), { thing: key, found: 'nothing', expected: 'a number' }]]),
    ),
    'a number that is a text': [
      withValues({ 'llama.block_count': text('2') }),
      { thing: 'llama.block_count', found: '"2"', expected: 'a whole number from 1' },
    ],
    'a number that is an array': [
      withValues({ 'llama.attention.head_count': int32s([4, 4]) }),
      { thing: 'llama.attention.head_count', found: '[]', expected: 'a whole number from 1' },
    ],
    'more layers than there are': [
      withValues({ 'llama.block_count': u32(3) }),
      { thing: 'model.layers.2.input_layernorm.weight', found: 'nothing', expected: 'that tensor' },
    ],
    'a number of layers beyond 2^53': [
      withValues({ 'llama.block_count': u64(2n ** 60n) }),
      { thing: 'llama.block_count', found: String(2n ** 60n), expected: 'a whole number from 1' },
    ],
    'an epsilon of 0': [
      withValues({ 'llama.attention.layer_norm_rms_epsilon': f32(0) }),
      { thing: 'llama.attention.layer_norm_rms_epsilon', found: '0', ...positive },
    ],
    'a base that is a flag': [
      withValues({ 'llama.rope.freq_base': bool(true) }),
      { thing: 'llama.rope.freq_base', found: 'true', ...positive },
    ],
    'a part of each head that is turned': [
      withValues({ 'llama.rope.dimension_count': u32(8) }),
      { thing: 'llama.rope.dimension_count', found: '8', expected: '16, as the heads have' },
    ],
    'values of another length than keys': [
      withValues({ 'llama.attention.value_length': u32(32) }),
      { thing: 'llama.attention.value_length', found: '32', expected: '16' },
    ],
    'a BOS beyond the vocabulary': [
      withValues({ 'tokenizer.ggml.bos_token_id': u32(24) }),
      { thing: 'tokenizer.ggml.bos_token_id', found: '24', expected: "below the vocabulary's 24" },
    ],
    'an unknown scaling': [
      withValues({ 'llama.rope.scaling.type': text('longrope'), 'llama.rope.scaling.factor': f32(4) }),
      { thing: 'llama.rope.scaling.type', found: '"longrope"', expected: 'yarn' },
    ],
    'a negative scaling': [
      withValues({ 'llama.rope.scaling.factor': f32(-4) }),
      { thing: 'llama.rope.scaling.factor', found: '-4', ...positive },
    ],
    'an attention factor': [
      withValues({
        'llama.rope.scaling.type': text('yarn'),
        'llama.rope.scaling.factor': f32(4),
        'llama.rope.scaling.attn_factor': f32(2),
      }),
      { thing: 'llama.rope.scaling.attn_factor', found: '2', expected: '1' },
    ],
    'factors of another number': [
      withMore(factors([1, 2, 3])),
      { thing: 'rope_freqs.weight', found: '[1, 2, 3]', expected: '8 numbers over 0' },
    ],
    'factors that are no numbers': [
      withMore(factors([1, 1, 1, 1, 1, 1, 1, NaN])),
      { thing: 'rope_freqs.weight', found: 'NaN', expected: '8 numbers over 0' },
    ],
    'factors in blocks': [
      withMore(factors(new Array<number>(32).fill(1), 'Q8_0')),
      { thing: 'type', found: 'Q8_0', expected: 'F32', where: 'tensor "rope_freqs.weight"' },
    ],
    'factors beside a scaling': [
      ggufFile({
        metadata: { ...tiny.metadata, 'llama.rope.scaling.factor': f32(4) },
        tensors: [...tiny.tensors, factors([1, 1, 1, 1, 1, 1, 1, 8])],
      }),
      { thing: 'rope_freqs.weight', found: 'factors beside linear scaling', expected: 'one of them' },
    ],
  });

  test('odd values that say nothing of the model are let be', async () => {
    const odd: GgufParts['metadata'] = {
      ...tiny.metadata,
      __proto__x: text('a'),
      'tokenizer.ggml.padding_token_id': u32(2 ** 32 - 1),
      'general.tags': texts(['a']),
      'general.empty': floats([]),
      'split.count': u32(0),
    };
    await withFolder({ [FILE]: ggufFile({ ...tiny, metadata: odd }) }, async (folder) => {
      await (await openCheckpoint(join(folder, FILE))).close();
    });
  });

  test('any cut of a file is a typed error', async () => {
    const file = ggufFile(tinyGguf({ weights: 'F16', floats: 'F16' }));
    for (let length = 0; length < file.length; length += length < 2600 ? 7 : 997) {
      await withFolder({ [FILE]: file.subarray(0, length) }, async (folder) => {
        await assert.rejects(openCheckpoint(join(folder, FILE)), CheckpointError, `${length} bytes`);
      });
    }
  });
});
