import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { CheckpointError } from '../../src/base/errors.js';
import { openCheckpoint, openSafetensors, inspectCheckpoint } from '../../src/checkpoint/index.js';
import { loadModel } from '../../src/index.js';
import { says, type Expected } from '../support/says.js';
import {
  safetensorsFile,
  sharded,
  tinyCheckpoint,
  tinyFolder,
  withFolder,
  withHeader,
  type FolderFiles,
  type Tensors,
  type TinyOptions,
} from '../support/tiny-checkpoint.js';

const FILE = 'model.safetensors';

/** A length field and what follows it. */
function withLength(length: bigint, rest: string): Uint8Array {
  const file = new Uint8Array(8 + rest.length);
  new DataView(file.buffer).setBigUint64(0, length, true);
  file.set(new TextEncoder().encode(rest), 8);
  return file;
}

const entry = (fields: object): object => ({ a: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...fields } });
const eight = new Uint8Array(8);

describe('safetensors files that are not one', () => {
  const cases: Record<string, [file: Uint8Array | string, Expected]> = {
    'an empty file': ['', { thing: 'file length', found: '0 bytes', expected: 'at least 8' }],
    'a file of 7 bytes': ['1234567', { thing: 'file length', found: '7 bytes', expected: 'at least 8' }],
    'a header of 2^60 bytes': [
      withLength(2n ** 60n, '{}'),
      {
        thing: 'length of the safetensors header',
        found: '1152921504606846976 bytes in a file of 10',
        expected: 'at most 2',
      },
    ],
    'a header of 2^64 - 1 bytes': [
      withLength(2n ** 64n - 1n, '{}'),
      { thing: 'length of the safetensors header', found: '18446744073709551615', expected: 'at most 2' },
    ],
    'a header one byte longer than the file': [
      withLength(3n, '{}'),
      { thing: 'length of the safetensors header', found: '3 bytes in a file of 10', expected: 'at most 2' },
    ],
    'an empty header': [withLength(0n, ''), { thing: 'JSON', found: 'end of JSON', expected: 'valid JSON' }],
    'a header that is cut': [withHeader('{"a": {"dtype"'), { thing: 'JSON', found: 'JSON', expected: 'valid JSON' }],
    'a header that is an array': [withHeader('[]'), { thing: 'JSON', found: '[]', expected: 'an object' }],
    'a header that is not UTF-8': [
      Uint8Array.from([3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d]),
      { thing: 'JSON', found: 'bytes that are not UTF-8', expected: 'UTF-8' },
    ],
    'a tensor named twice': [
      withHeader(`{"a":${JSON.stringify(entry({}))},"\\u0061":{}}`),
      { thing: 'JSON key', found: '"a" twice', expected: 'each key once' },
    ],
    'a field named twice': [
      withHeader('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"shape":[1]}}', eight),
      { thing: 'JSON key', found: '"shape" twice', expected: 'each key once' },
    ],
    'metadata of numbers': [
      withHeader({ __metadata__: { format: 1 } }),
      { thing: '__metadata__ "format"', found: '1', expected: 'a string' },
    ],
    'metadata that is a list': [
      withHeader({ __metadata__: [] }),
      { thing: '__metadata__', found: '[]', expected: 'an object' },
    ],
    'a tensor that is a number': [
      withHeader({ a: 7 }),
      { thing: 'tensor', found: '7', expected: 'dtype, shape and data_offsets', where: 'tensor "a"' },
    ],
    'an unknown dtype': [
      withHeader(entry({ dtype: 'F128' }), eight),
      { thing: 'dtype', found: '"F128"', expected: 'F32 F64', where: 'tensor "a"' },
    ],
    'a dtype of a prototype': [
      withHeader(entry({ dtype: 'constructor' }), eight),
      { thing: 'dtype', found: '"constructor"', expected: 'BF16', where: 'tensor "a"' },
    ],
    'no shape': [
      withHeader(entry({ shape: undefined }), eight),
      { thing: 'shape', found: 'nothing', expected: 'whole numbers', where: 'tensor "a"' },
    ],
    'a negative size': [
      withHeader(entry({ shape: [-2, -1] }), eight),
      { thing: 'shape', found: '[-2, -1]', expected: 'whole numbers', where: 'tensor "a"' },
    ],
    'a size that is no whole number': [
      withHeader(entry({ shape: [2.5] }), eight),
      { thing: 'shape', found: '[2.5]', expected: 'whole numbers', where: 'tensor "a"' },
    ],
    'a size beyond 2^53': [
      withHeader('{"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,8]}}', eight),
      { thing: 'shape', found: '9007199254740992', expected: 'whole numbers', where: 'tensor "a"' },
    ],
    'sizes whose product wraps around to the right number of bytes': [
      withHeader(entry({ shape: [2 ** 31, 2 ** 31, 4, 2] }), eight),
      { thing: 'data_offsets', found: '8 bytes', expected: `${2n ** 67n} bytes`, where: 'tensor "a"' },
    ],
    'more axes than there can be': [
      withHeader(entry({ shape: new Array<number>(65).fill(1) }), eight),
      { thing: 'shape', found: 'an array of 65', expected: 'whole numbers', where: 'tensor "a"' },
    ],
    'a shape of fewer bytes': [
      withHeader(entry({ shape: [1] }), eight),
      { thing: 'data_offsets', found: '8 bytes', expected: '4 bytes for F32 [1]', where: 'tensor "a"' },
    ],
    'a shape of more bytes': [
      withHeader(entry({ shape: [2, 2] }), eight),
      { thing: 'data_offsets', found: '8 bytes', expected: '16 bytes for F32 [2, 2]', where: 'tensor "a"' },
    ],
    'offsets beyond the end, as in a file that is cut': [
      withHeader(entry({}), new Uint8Array(7)),
      { thing: 'data_offsets', found: '[0, 8]', expected: 'within the 7 bytes', where: 'tensor "a"' },
    ],
    'offsets far beyond the end': [
      withHeader(entry({ shape: [2 ** 40], data_offsets: [0, 2 ** 42] }), eight),
      { thing: 'data_offsets', found: `[0, ${2 ** 42}]`, expected: 'within the 8 bytes', where: 'tensor "a"' },
    ],
    'offsets that run backwards': [
      withHeader(entry({ data_offsets: [8, 0] }), eight),
      { thing: 'data_offsets', found: '[8, 0]', expected: '[begin, end)', where: 'tensor "a"' },
    ],
    'negative offsets': [
      withHeader(entry({ data_offsets: [-8, 0] }), eight),
      { thing: 'data_offsets', found: '[-8, 0]', expected: '[begin, end)', where: 'tensor "a"' },
    ],
    'three offsets': [
      withHeader(entry({ data_offsets: [0, 8, 8] }), eight),
      { thing: 'data_offsets', found: '[0, 8, 8]', expected: '[begin, end)', where: 'tensor "a"' },
    ],
    'tensors that overlap': [
      withHeader({ ...entry({}), b: { dtype: 'U8', shape: [2], data_offsets: [7, 9] } }, new Uint8Array(9)),
      { thing: 'start of a tensor', found: /^byte \d+$/, expected: 'where "a" ends', where: 'tensor "b"' },
    ],
    'one tensor inside another': [
      withHeader({ b: { dtype: 'U8', shape: [2], data_offsets: [3, 5] }, ...entry({}) }, eight),
      { thing: 'start of a tensor', found: /^byte \d+$/, expected: 'where "a" ends', where: 'tensor "b"' },
    ],
    'a Git LFS pointer': [
      'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 13251080\n',
      { thing: 'kind of file', found: 'git lfs pull', expected: 'a safetensors file' },
    ],
    'a GGUF file': [
      'GGUF\u0003\0\0\0'.padEnd(64, '\0'),
      { thing: 'kind of file', found: 'GGUF', expected: 'safetensors' },
    ],
    'a page that says "not found"': [
      '<!DOCTYPE html><html><head><title>404</title>',
      { thing: 'kind of file', found: 'HTML', expected: 'safetensors' },
    ],
  };
  for (const [name, [content, expected]] of Object.entries(cases)) {
    test(name, async () => {
      await withFolder({ [FILE]: content, 'config.json': {} }, async (folder) => {
        const where = `/${FILE}`;
        for (const load of ['map', 'copy'] as const) {
          const opening = openSafetensors(join(folder, FILE), { load });
          await assert.rejects(opening, says(folder, { ...expected, where: expected.where ?? where }));
          await assert.rejects(openCheckpoint(folder, { load }), CheckpointError);
        }
      });
    });
  }

  test('every length that a file can be cut to', async () => {
    const tensors: Tensors = {
      a: { dtype: 'F32', shape: [3], data: Float32Array.of(1, 2, 3) },
      b: { dtype: 'U8', shape: [2], data: Uint8Array.of(1, 2) },
    };
    const whole = safetensorsFile(tensors);
    await withFolder({ [FILE]: whole }, async (folder) => {
      const path = join(folder, FILE);
      await (await openSafetensors(path)).close();
      for (let length = 0; length < whole.length; length++) {
        await writeFile(path, whole.subarray(0, length));
        await assert.rejects(
          openSafetensors(path),
          says(folder, { thing: '', found: '', expected: '', where: `/${FILE}` }),
        );
      }
    });
  });

  test('a path to something else than a file', async () => {
    await withFolder({ 'a.txt': 'text' }, async (folder) => {
      await mkdir(join(folder, 'folder.safetensors'));
      const opening = (name: string) => openSafetensors(join(folder, name));
      const thing = 'safetensors file';
      await assert.rejects(opening('no'), says(folder, { thing, found: 'no such file', expected: 'a file' }));
      await assert.rejects(
        opening('folder.safetensors'),
        says(folder, { thing, found: 'a folder', expected: 'a file' }),
      );
      await assert.rejects(opening('a.txt/b'), says(folder, { thing, found: 'ENOTDIR', expected: 'a file' }));
      await assert.rejects(opening('\0'), says(folder, { thing, found: 'null byte', expected: 'a file' }));
      if (process.platform === 'win32') return;
      execFileSync('mkfifo', [join(folder, FILE)]);
      await assert.rejects(opening(FILE), says(folder, { thing, found: 'not a regular file', expected: 'a file' }));
      await assert.rejects(
        openCheckpoint(folder),
        says(folder, { thing, found: 'not a regular file', expected: 'a file' }),
      );
    });
  });

  test('what a file promises is not allocated', async () => {
    const terabytes = entry({ shape: [2 ** 40], data_offsets: [0, 2 ** 42] });
    const files = [withLength(2n ** 60n, '{}'), withLength(99_000_000n, '{}'), withHeader(terabytes, eight)];
    const before = process.memoryUsage();
    for (const file of files) {
      await withFolder({ [FILE]: file }, async (folder) => {
        await assert.rejects(openSafetensors(join(folder, FILE), { load: 'copy' }), CheckpointError);
      });
    }
    const after = process.memoryUsage();
    assert.ok(after.arrayBuffers - before.arrayBuffers < 2 ** 20);
    assert.ok(after.rss - before.rss < 2 ** 26, `${after.rss - before.rss} bytes more`);
  });
});

describe('folders that are no checkpoint', () => {
  const opening = async (files: FolderFiles, parts: Expected): Promise<void> => {
    await withFolder(files, async (folder) => {
      for (const open of [openCheckpoint, inspectCheckpoint, loadModel]) {
        await assert.rejects(open(folder), says(folder, parts));
      }
    });
  };
  const { config, tensors } = tinyCheckpoint({ weights: 'F32' });
  const weights = safetensorsFile(tensors);
  const [first, second] = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const shards = { ...sharded(tensors), 'config.json': config };
  const INDEX = 'model.safetensors.index.json';
  const indexed = (weightMap: unknown): FolderFiles => ({ ...shards, [INDEX]: { weight_map: weightMap } });
  const { weight_map: weightMap } = shards[INDEX as keyof typeof shards] as { weight_map: Record<string, string> };

  test('no path, no files, files of other kinds', async () => {
    await withFolder({}, async (folder) => {
      const parts = { thing: 'checkpoint', found: 'no such path', expected: 'a folder' };
      await assert.rejects(openCheckpoint(join(folder, 'no')), says(folder, parts));
      await assert.rejects(openCheckpoint(join(folder, 'a\0b')), says(folder, { ...parts, found: 'null bytes' }));
    });
    await opening({}, { thing: 'weights', found: 'none', expected: FILE });
    const pickle = { 'pytorch_model.bin': 'PK', 'config.json': config };
    await opening(pickle, { thing: 'weights', found: 'pytorch_model.bin', expected: FILE });
    const two = { 'a.safetensors': weights, 'b.safetensors': weights, 'config.json': config };
    await opening(two, { thing: 'weights', found: 'a.safetensors, b.safetensors', expected: INDEX });
    await opening({ [FILE]: weights }, { thing: 'config.json', found: 'no such file', expected: 'one' });
  });

  test('shards that are missing or say something else', async () => {
    await withFolder(shards, async (folder) => {
      await (await openCheckpoint(folder)).close();
      await rm(join(folder, second));
      const expected = /^model-00002-of-00002\.safetensors, where .*index\.json has tensor "model\./;
      await assert.rejects(openCheckpoint(folder), says(folder, { thing: 'shard', found: 'no such file', expected }));
    });
    const lost = Object.keys(weightMap)[1];
    const moved = { ...weightMap, [lost]: first };
    await opening(indexed(moved), {
      thing: 'shard',
      found: 'no such tensor',
      expected: JSON.stringify(lost),
      where: first,
    });
    await opening(
      { ...shards, [first]: weights.subarray(0, 500) },
      { thing: 'length of', found: '', expected: '', where: first },
    );
    for (const name of ['../a.safetensors', '/etc/passwd', 'a/b.safetensors', 'a.bin', '', 7, null]) {
      const found = typeof name === 'string' ? JSON.stringify(name) : String(name);
      const expected = 'the name of a safetensors file in this folder';
      await opening(indexed({ ...weightMap, [lost]: name }), { thing: lost, found, expected, where: INDEX });
    }
    for (const [value, found] of [
      [undefined, 'nothing'],
      [{}, '0 keys'],
      [[], '[]'],
      ['x', '"x"'],
    ]) {
      const parts = {
        thing: 'weight_map',
        found: String(found),
        expected: 'tensor names and their files',
        where: INDEX,
      };
      await opening(indexed(value), parts);
    }
    await opening({ ...shards, [INDEX]: '{' }, { thing: 'JSON', found: '', expected: 'valid JSON', where: INDEX });
    const twice = `{"weight_map":{"a":"${first}","a":"${second}"}}`;
    await opening(
      { ...shards, [INDEX]: twice },
      { thing: 'JSON key', found: '"a" twice', expected: 'once', where: INDEX },
    );
  });

  test('each tensor of each format, when it is missing, is missed', async () => {
    const kinds: TinyOptions[] = [
      { weights: 'F32', bias: true },
      { weights: 'gemm' },
      { weights: 'gemv_fast' },
      { weights: 'BF16', tied: true },
    ];
    for (const options of kinds) {
      const { config: own, tensors: all } = tinyCheckpoint(options);
      for (const name of Object.keys(all).filter((tensor) => !tensor.startsWith('model.layers.1.'))) {
        const { [name]: _, ...rest } = all;
        await withFolder({ 'config.json': own, [FILE]: safetensorsFile(rest) }, async (folder) => {
          const module = name.slice(0, name.lastIndexOf('.'));
          await assert.rejects(openCheckpoint(folder), (error) => {
            assert.ok(error instanceof CheckpointError);
            assert.ok(error.message.includes(folder) && error.message.includes(module), `${name}: ${error.message}`);
            return true;
          });
        });
      }
    }
  });

  test('tensors of another shape or dtype', async () => {
    const cases: [name: string, change: Partial<Tensors[string]>, Expected][] = [
      ['model.norm.weight', { shape: [8, 8] }, { thing: 'shape', found: '[8, 8]', expected: '[64]' }],
      ['model.embed_tokens.weight', { shape: [64, 24] }, { thing: 'shape', found: '[64, 24]', expected: '[24, 64]' }],
      [
        'model.layers.1.mlp.up_proj.weight',
        { shape: [4096] },
        { thing: 'shape', found: '[4096]', expected: '[64, 64]' },
      ],
      ['lm_head.weight', { dtype: 'I32' }, { thing: 'dtype', found: 'I32', expected: 'F32 or F16 or BF16' }],
      [
        'model.layers.0.self_attn.q_proj.weight',
        { dtype: 'F8_E4M3', data: new Uint8Array(4096) },
        { thing: 'dtype', found: 'F8_E4M3', expected: 'F32 or F16 or BF16' },
      ],
    ];
    for (const [name, change, parts] of cases) {
      const changed = { ...tensors, [name]: { ...tensors[name], ...change } };
      const where = new RegExp(`/${FILE}, tensor "${name}"`);
      await opening({ 'config.json': config, [FILE]: safetensorsFile(changed) }, { ...parts, where });
    }
  });

  test('quantised layers that do not fit the config, or without one', async () => {
    const { config: own, tensors: all } = tinyCheckpoint({ weights: 'gemm' });
    const { quantization_config: quantization, ...plain } = own;
    const file = { [FILE]: safetensorsFile(all) };
    const where = /tensor "model\.layers\.0\.self_attn\.q_proj\.\w+"/;
    await opening(
      { ...file, 'config.json': plain },
      { thing: 'quantization_config', found: 'none', expected: 'qweight', where },
    );
    const coarse = { ...own, quantization_config: { ...(quantization as object), group_size: 64 } };
    await opening(
      { ...file, 'config.json': coarse },
      { thing: 'shape', found: '[2, 64]', expected: '[1, 64] (gemm)', where },
    );
    const symmetric = { ...own, quantization_config: { ...(quantization as object), zero_point: false } };
    await withFolder({ ...file, 'config.json': symmetric }, async (folder) => (await openCheckpoint(folder)).close());
  });

  test('scales that are not finite are found when weights are read', async () => {
    const { config: own, tensors: all } = tinyCheckpoint({ weights: 'gemm' });
    const name = 'model.layers.1.mlp.down_proj.scales';
    (all[name].data as Uint16Array)[3] = 0x7c00;
    await withFolder({ 'config.json': own, [FILE]: safetensorsFile(all) }, async (folder) => {
      const parts = {
        thing: 'scale',
        found: 'Infinity',
        expected: 'finite',
        where: `/${FILE}, tensor "${name}", output 3, group 0`,
      };
      await assert.rejects(loadModel(folder), says(folder, parts));
    });
  });

  test('a config.json that is no JSON object', async () => {
    for (const [text, found] of [
      ['', 'end of JSON'],
      ['[1]', '[1]'],
      ['{"a":NaN}', 'JSON'],
      ['{"a":1,"a":2}', '"a" twice'],
      ['\u0000', ''],
    ]) {
      await opening(
        { [FILE]: weights, 'config.json': text },
        { thing: 'JSON', found, expected: '', where: '/config.json' },
      );
    }
    const deep = `{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`;
    await opening(
      { [FILE]: weights, 'config.json': deep },
      { thing: 'architectures', found: 'nothing', expected: 'LlamaForCausalLM' },
    );
    await withFolder({ [FILE]: weights }, async (folder) => {
      await mkdir(join(folder, 'config.json'));
      const parts = { thing: 'JSON file', found: 'not a regular file', expected: 'a file', where: '/config.json' };
      await assert.rejects(openCheckpoint(folder), says(folder, parts));
      if (process.platform === 'win32') return;
      await rm(join(folder, 'config.json'), { recursive: true });
      execFileSync('mkfifo', [join(folder, 'config.json')]);
      await assert.rejects(openCheckpoint(folder), says(folder, parts));
    });
  });
});

test('a folder of each kind opens as it is', async () => {
  for (const weights of ['F64', 'F32', 'F16', 'BF16', 'gemm', 'gemv', 'gemv_fast'] as const) {
    await withFolder(tinyFolder({ weights }), async (folder) => (await openCheckpoint(folder)).close());
  }
});
