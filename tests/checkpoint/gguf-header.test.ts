import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gguf } from '@huggingface/gguf';
import { breather } from '../../src/base/event-loop.js';
import { openSource } from '../../src/checkpoint/byte-source.js';
import { readGgufHeader } from '../../src/checkpoint/gguf-header.js';
import { openCheckpoint } from '../../src/checkpoint/index.js';
import { inverseFrequencies } from '../../src/layers/rotary-table.js';
import {
  f32,
  ggufFile,
  text,
  texts,
  tinyGguf,
  u32,
  u64,
  type GgufParts,
  type GgufTestTensor,
} from '../support/gguf-file.js';
import { worstExcess } from '../support/golden.js';
import { missing, sharedPath } from '../support/shared.js';
import { bytesOf, TINY, withFolder } from '../support/tiny-checkpoint.js';

const shared = (path: string): string => sharedPath(path) ?? '';

/** Runs `use` with the path of a GGUF file. */
const withGguf = <T>(parts: GgufParts, use: (path: string) => Promise<T>): Promise<T> =>
  withFolder({ 'model.gguf': ggufFile(parts) }, (folder) => use(join(folder, 'model.gguf')));

describe('a header', () => {
  test('is read as the library reads it whole', { skip: missing('data') }, async () => {
    const files = [
      'data/stories260K/stories260K.gguf',
      'data/llama-tokenizer/ggml-vocab-llama-spm.gguf',
      'data/gpt2-tokenizer/ggml-vocab-gpt-2.gguf',
    ];
    for (const path of files.map(shared)) {
      const expected = await gguf(path, { allowLocalFile: true });
      const source = await openSource(path, 'copy');
      const { metadata, tensors, dataOffset } = await readGgufHeader(source, path, breather());
      await source.close();
      assert.equal(BigInt(dataOffset), expected.tensorDataOffset);
      assert.equal(tensors.size, expected.tensorInfos.length);
      for (const { name, shape, offset } of expected.tensorInfos) {
        const tensor = tensors.get(name);
        assert.deepEqual(tensor?.shape, shape.map(Number).reverse());
        assert.equal(tensor?.offset, dataOffset + Number(offset));
      }
      // what the library puts among the values that the file has
      const { version: _, tensor_count: __, kv_count: ___, ...values } = expected.metadata;
      for (const [key, value] of Object.entries(values)) {
        const expectedValue = value === 2 ** 32 - 1 ? undefined : intOf(value);
        if (!Array.isArray(value)) assert.equal(metadata.get(key), expectedValue, key);
        else if (typeof value[0] === 'string') {
          // a token of LLaMA is U+FEFF, which the library takes for a mark of byte order
          const texts = await metadata.texts(key, breather());
          assert.deepEqual(texts?.map((each) => each.replace(/^\ufeff/, '')), value, key);
          assert.equal(texts?.includes('\ufeff'), path.includes('llama-spm') && key.endsWith('tokens'));
        }
        else assert.deepEqual([...((await metadata.numbers(key, breather())) ?? [])], value, key);
      }
    }
  });

  test('that ends in a long text is read to its end', async () => {
    const long = ['a', 'x'.repeat(100_000)];
    await withGguf({ metadata: { 'a.long': texts(long) }, tensors: [] }, async (path) => {
      const source = await openSource(path, 'copy');
      const { metadata } = await readGgufHeader(source, path, breather());
      await source.close();
      assert.deepEqual(await metadata.texts('a.long', breather()), long);
    });
  });

  test('values of every type, short and long', async () => {
    const long = Array.from({ length: 2000 }, (_, i) => i);
    const { metadata, tensors } = tinyGguf({ weights: 'F32' });
    const values = {
      ...metadata,
      'general.name': text('naïve 🙂'),
      'tokenizer.chat_template': text('x'.repeat(100_000)),
      'a.u64': u64(2n ** 53n - 1n),
      'a.huge': u64(2n ** 64n - 1n),
      'a.texts': texts(['', 'b']),
      'a.long': texts(long.map((i) => `token ${i}`)),
      ...Object.fromEntries(
        (['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'f32', 'f64'] as const).map((type) => [
          `a.${type}`,
          { type: 'array' as const, of: type, value: long.map((i) => (type === 'u8' || type === 'i8' ? i % 100 : i)) },
        ]),
      ),
    };
    await withGguf({ metadata: values, tensors }, async (path) => {
      const checkpoint = await openCheckpoint(path);
      const read = checkpoint.metadata;
      assert.ok(read);
      assert.equal(read.text('general.name'), 'naïve 🙂');
      assert.equal(read.text('tokenizer.chat_template')?.length, 100_000);
      assert.equal(read.get('a.u64'), Number.MAX_SAFE_INTEGER);
      assert.equal(read.get('a.huge'), 2n ** 64n - 1n);
      assert.deepEqual(await read.texts('a.texts', breather()), ['', 'b']);
      assert.deepEqual(await read.texts('a.long', breather()), values['a.long'].value);
      assert.equal(read.length('a.long'), 2000);
      for (const type of ['u16', 'i16', 'u32', 'i32', 'f32', 'f64']) {
        assert.deepEqual([...((await read.numbers(`a.${type}`, breather())) ?? [])], long, type);
      }
      for (const type of ['u8', 'i8']) {
        assert.deepEqual([...((await read.numbers(`a.${type}`, breather())) ?? [])], long.map((i) => i % 100), type);
      }
      await assert.rejects(read.numbers('a.long', breather()), /array of numbers/);
      await assert.rejects(read.texts('a.f32', breather()), /array of texts/);
      assert.equal(await read.texts('a.none', breather()), null);
      await checkpoint.close();
    });
  });
});

const intOf = (value: unknown): unknown => (typeof value === 'bigint' ? Number(value) : value);

describe('RoPE', () => {
  const ropeOf = async (values: GgufParts['metadata'], more: readonly GgufTestTensor[] = []) => {
    const { metadata, tensors } = tinyGguf({ weights: 'F32' });
    return withGguf({ metadata: { ...metadata, ...values }, tensors: [...tensors, ...more] }, async (path) => {
      const checkpoint = await openCheckpoint(path);
      await checkpoint.close();
      return checkpoint.config.rope;
    });
  };
  const factors = (values: number[]): GgufTestTensor => {
    return { name: 'rope_freqs.weight', type: 'F32', shape: [values.length], data: bytesOf(Float32Array.from(values)) };
  };

  test('base and scaling', async () => {
    assert.deepEqual(await ropeOf({}), { type: 'default', theta: 10_000 });
    assert.deepEqual(await ropeOf({ 'llama.rope.freq_base': f32(500_000) }), { type: 'default', theta: 500_000 });
    const factor = { 'llama.rope.scaling.factor': f32(4) };
    assert.deepEqual(await ropeOf(factor), { type: 'linear', theta: 10_000, factor: 4 });
    assert.deepEqual(await ropeOf({ 'llama.rope.scale_linear': f32(2) }), { type: 'linear', theta: 10_000, factor: 2 });
    const none = { ...factor, 'llama.rope.scaling.type': text('none') };
    assert.deepEqual(await ropeOf(none), { type: 'default', theta: 10_000 });
    const yarn = {
      ...factor,
      'llama.rope.scaling.type': text('yarn'),
      'llama.rope.scaling.original_context_length': u32(32),
    };
    assert.deepEqual(await ropeOf(yarn), {
      type: 'yarn',
      theta: 10_000,
      factor: 4,
      betaFast: 32,
      betaSlow: 1,
      originalMaxPositionEmbeddings: 32,
      attentionFactor: 0.1 * Math.log(4) + 1,
      truncate: true,
    });
  });

  test('factors of llama3 scaling, as llama.cpp’s converter computes them', async () => {
    const llama3 = { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositionEmbeddings: 32 };
    const half = TINY.headDim / 2;
    const values = Array.from({ length: half }, (_, i) => {
      const wavelength = 2 * Math.PI * 500 ** (i / half);
      if (wavelength < 32 / 4) return 1;
      if (wavelength > 32 / 1) return 8;
      const smooth = (32 / wavelength - 1) / (4 - 1);
      return 1 / ((1 - smooth) / 8 + smooth);
    });
    assert.ok(new Set(values).size > 3, 'frequencies that are kept, divided, and in between');
    const rope = await ropeOf({ 'llama.rope.freq_base': f32(500) }, [factors(values)]);
    assert.deepEqual(rope, { type: 'factors', theta: 500, factors: values.map(Math.fround) });
    const expected = inverseFrequencies({ type: 'llama3', theta: 500, ...llama3 }, TINY.headDim);
    assert.ok(worstExcess(inverseFrequencies(rope, TINY.headDim), expected, 1e-6) <= 0);
    assert.deepEqual(await ropeOf({}, [factors(values.map(() => 1))]), { type: 'default', theta: 10_000 });
  });
});
