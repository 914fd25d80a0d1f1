import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gguf } from '@huggingface/gguf';
import { OptionError, ShapeError } from '../../src/base/errors.js';
import { ggufValue, writeGguf, type GgufTensorToWrite } from '../../src/checkpoint/write-gguf.js';
import { withFolder } from '../support/tiny-checkpoint.js';

const bytes = (length: number, start: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (start + 7 * i) & 255);

const VALUES = {
  'general.architecture': 'llama',
  'llama.block_count': 2,
  'llama.rope.freq_base': 10000,
  'tokenizer.ggml.tokens': ['<unk>', '▁été', ''],
  'tokenizer.ggml.scores': [0, -1.5, 2],
  'tokenizer.ggml.token_type': [2, -1, 6],
  'tokenizer.ggml.add_bos_token': true,
};

const METADATA = {
  'general.architecture': ggufValue.text('llama'),
  'llama.block_count': ggufValue.uint32(2),
  'llama.rope.freq_base': ggufValue.float32(10000),
  'tokenizer.ggml.tokens': ggufValue.texts(['<unk>', '▁été', '']),
  'tokenizer.ggml.scores': ggufValue.float32s([0, -1.5, 2]),
  'tokenizer.ggml.token_type': ggufValue.int32s([2, -1, 6]),
  'tokenizer.ggml.add_bos_token': ggufValue.flag(true),
};

const TENSORS: readonly GgufTensorToWrite[] = [
  { name: 'norm', type: 'F32', shape: [3], data: bytes(12, 1) },
  {
    name: 'matrix',
    type: 'Q4_0',
    shape: [3, 64],
    data: async function* () {
      yield bytes(50, 2);
      yield bytes(0, 0);
      yield bytes(58, 3);
    },
  },
  { name: 'wide', type: 'Q6_K', shape: [2, 256], data: () => [bytes(420, 4)] },
];

describe('writeGguf', () => {
  test('another reader sees the same metadata, sizes and bytes, every tensor aligned', async () => {
    await withFolder({}, async (folder) => {
      const path = join(folder, 'model.gguf');
      const seen: number[] = [];
      await writeGguf(path, { metadata: METADATA, tensors: TENSORS }, { onProgress: (done, total) => seen.push(done / total) });
      const { metadata, tensorInfos, tensorDataOffset } = await gguf(path, { allowLocalFile: true });
      const { version, tensor_count, kv_count, ...values } = metadata;
      assert.deepEqual(values, VALUES);
      assert.deepEqual([version, tensor_count, kv_count], [3, 3n, 7n]);
      assert.deepEqual(
        tensorInfos.map(({ name, shape, dtype }) => ({ name, shape, dtype })),
        [
          { name: 'norm', shape: [3n], dtype: 0 },
          { name: 'matrix', shape: [64n, 3n], dtype: 2 },
          { name: 'wide', shape: [256n, 2n], dtype: 14 },
        ],
      );
      const file = await readFile(path);
      const contents = [bytes(12, 1), Buffer.concat([bytes(50, 2), bytes(58, 3)]), bytes(420, 4)];
      assert.equal(Number(tensorDataOffset) % 32, 0);
      for (const [i, { offset }] of tensorInfos.entries()) {
        assert.equal(Number(offset) % 32, 0);
        const start = Number(tensorDataOffset + offset);
        assert.deepEqual(Buffer.from(file.subarray(start, start + contents[i].length)), Buffer.from(contents[i]));
      }
      assert.equal(file.length % 32, 0);
      assert.equal(seen[seen.length - 1], 1);
    });
  });

  test('what cannot be is refused, and leaves nothing behind', async () => {
    await withFolder({}, async (folder) => {
      const write = (tensors: readonly GgufTensorToWrite[], signal?: AbortSignal) =>
        writeGguf(join(folder, 'model.gguf'), { metadata: METADATA, tensors }, { signal });
      const [norm, matrix] = TENSORS;
      await assert.rejects(write([norm, norm]), OptionError);
      await assert.rejects(write([{ ...matrix, shape: [64, 3] }]), ShapeError);
      await assert.rejects(write([norm, { ...norm, name: 'short', data: bytes(11, 0) }]), ShapeError);
      await assert.rejects(write([norm, { ...norm, name: 'long', data: () => [bytes(9, 0), bytes(4, 0)] }]), ShapeError);
      const failing = () => {
        throw new Error('made badly');
      };
      await assert.rejects(write([norm, { ...norm, name: 'failing', data: failing }]), /made badly/);
      await assert.rejects(write(TENSORS, AbortSignal.abort()), { name: 'AbortError' });
      assert.deepEqual(await readdir(folder), []);
    });
  });
});
