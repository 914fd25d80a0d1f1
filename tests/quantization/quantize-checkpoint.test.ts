import assert from 'node:assert/strict';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { CheckpointError, OptionError, UnknownNameError } from '../../src/base/errors.js';
import { openCheckpoint } from '../../src/checkpoint/index.js';
import { bundled, loadModel, quantizeCheckpoint, type QuantizeOptions } from '../../src/index.js';
import { dequantize } from '../../src/matrix/index.js';
import {
  safetensorsFile,
  sharded,
  TINY,
  tinyCheckpoint,
  tinyFolder,
  withFolder,
  writeFiles,
  type FloatFormat,
  type FolderFiles,
  type TinyOptions,
} from '../support/tiny-checkpoint.js';
import { nearestHalf, referenceGroup } from './reference-rtn.js';

const LINEARS = Array.from({ length: TINY.layers }, (_, i) =>
  [
    'self_attn.q_proj',
    'self_attn.k_proj',
    'self_attn.v_proj',
    'self_attn.o_proj',
    'mlp.gate_proj',
    'mlp.up_proj',
    'mlp.down_proj',
  ].map((name) => `model.layers.${i}.${name}`),
).flat();

/** Quantises a folder of these files to `out` beside it, and looks at both. */
const withTwin = (
  files: FolderFiles,
  options: QuantizeOptions,
  use: (input: string, output: string, result: Awaited<ReturnType<typeof quantizeCheckpoint>>) => Promise<void>,
): Promise<void> =>
  withFolder({}, async (folder) => {
    const [input, output] = [join(folder, 'in'), join(folder, 'out')];
    await writeFiles(input, files);
    await use(input, output, await quantizeCheckpoint(input, output, options));
    assert.deepEqual((await readdir(folder)).sort(), ['in', 'out']);
  });

/** Column 8c + P[j] of a row of the GEMM layout is in nibble j of word c: the rule of AutoAWQ's packing_utils. */
const P = [0, 2, 4, 6, 1, 3, 5, 7];

/** [rows, words] of 8 nibbles each → [rows, 8·words], one code per entry. */
function unpackWords(words: Int32Array): number[] {
  return [...words].flatMap((word) => {
    const columns = new Array<number>(8);
    P.forEach((column, j) => (columns[column] = (word >>> (4 * j)) & 15));
    return columns;
  });
}

describe('a quantised checkpoint', () => {
  const kinds: (TinyOptions & { weights: FloatFormat })[] = [
    { weights: 'F32', floats: 'BF16' },
    { weights: 'BF16', floats: 'F32', bias: true },
    { weights: 'F16', floats: 'F16', tied: true, bias: true },
    { weights: 'F64', floats: 'F64' },
  ];
  for (const [i, kind] of kinds.entries()) {
    const groupSize = [16, 32, 64, 32][i];
    const what = `${JSON.stringify(kind)}, groups of ${groupSize}`;
    test(`of ${what}: an AWQ file of the nearest codes, all else as it was`, async () => {
      const { config, tensors } = tinyCheckpoint(kind);
      const files = {
        'config.json': config,
        'model.safetensors': safetensorsFile(tensors),
        'tokenizer_config.json': { a: [1] },
      };
      await withTwin(files, { groupSize }, async (input, output) => {
        assert.deepEqual((await readdir(output)).sort(), ['config.json', 'model.safetensors', 'tokenizer_config.json']);
        assert.deepEqual(
          await readFile(join(output, 'tokenizer_config.json')),
          await readFile(join(input, 'tokenizer_config.json')),
        );
        const { quantization_config: quantization, ...rest } = JSON.parse(
          await readFile(join(output, 'config.json'), 'utf8'),
        );
        assert.deepEqual(rest, config);
        const awq = { quant_method: 'awq', version: 'gemm', bits: 4, zero_point: true, modules_to_not_convert: null };
        assert.deepEqual(quantization, { ...awq, group_size: groupSize });

        const [before, after] = [await openCheckpoint(input), await openCheckpoint(output)];
        const written = readRaw(await readFile(join(output, 'model.safetensors')));
        for (const name of LINEARS) {
          const floats = await before.linear(name);
          const { outFeatures: out, inFeatures: k } = floats.weight;
          const weights = dequantize(floats.weight);
          const codes = unpackWords(written.int32(`${name}.qweight`)); // [in, out]
          const zeros = unpackWords(written.int32(`${name}.qzeros`)); // [groups, out]
          const scales = written.uint16(`${name}.scales`); // [groups, out]
          const packed = await after.linear(name);
          const decoded = dequantize(packed.weight);
          for (let n = 0; n < out; n++) {
            for (let g = 0; g < k / groupSize; g++) {
              const at = n * k + g * groupSize;
              const expected = referenceGroup([...weights.subarray(at, at + groupSize)]);
              assert.equal(scales[g * out + n], expected.scale);
              assert.equal(zeros[g * out + n], expected.zero);
              assert.deepEqual(
                expected.codes.map((_, j) => codes[(g * groupSize + j) * out + n]),
                expected.codes,
              );
              expected.values.forEach((value, j) => assert.ok(decoded[at + j] === value));
            }
          }
          assert.deepEqual(packed.bias, floats.bias);
        }
        const isKept = (name: string) => !LINEARS.some((linear) => name === `${linear}.weight`);
        const kept = Object.keys(tensors).filter(isKept);
        assert.deepEqual(written.names.filter((name) => !/\.(qweight|qzeros|scales)$/.test(name)).sort(), kept.sort());
        const original = readRaw(await readFile(join(input, 'model.safetensors')));
        for (const name of kept) assert.deepEqual(written.tensor(name), original.tensor(name), name);
        await Promise.all([before.close(), after.close()]);
      });
    });
  }

  test('of shards is that of one file, and equal input gives equal bytes', async () => {
    const { config, tensors } = tinyCheckpoint({ weights: 'F32' });
    const bytes: Buffer[] = [];
    for (const files of [{ 'model.safetensors': safetensorsFile(tensors) }, sharded(tensors), sharded(tensors)]) {
      await withTwin({ 'config.json': config, ...files }, { groupSize: 32 }, async (_, output) => {
        assert.deepEqual((await readdir(output)).sort(), ['config.json', 'model.safetensors']);
        bytes.push(await readFile(join(output, 'model.safetensors')));
      });
    }
    assert.ok(bytes[0].equals(bytes[1]) && bytes[1].equals(bytes[2]));
  });

  test('opens as a model whose logits are near those of the float one', async () => {
    await withTwin(tinyFolder({ weights: 'F32', seed: 3 }), { groupSize: 16 }, async (input, output) => {
      const ids = Int32Array.of(1, 5, 9, 20, 3, 3, 17);
      const [float, int4] = await Promise.all(
        [input, output].map(async (folder) => (await loadModel(folder)).run(ids)),
      );
      let [error, norm] = [0, 0];
      float.logits.forEach((logit, i) => {
        error += (logit - int4.logits[i]) ** 2;
        norm += logit ** 2;
      });
      assert.match(int4.record.precision, /^int4 g16$/);
      assert.ok(error > 0 && Math.sqrt(error / norm) < 0.25, String(Math.sqrt(error / norm)));
    });
  });

  test('comes with a result: errors, bits per weight, and how to get it again', async () => {
    const progress: [number, number][] = [];
    const onProgress = (done: number, total: number) => void progress.push([done, total]);
    await withTwin(tinyFolder({ weights: 'F32' }), { groupSize: 32, onProgress }, async (input, output, result) => {
      assert.equal(result.path, output);
      assert.deepEqual(
        result.matrices.map(({ name }) => name),
        LINEARS,
      );
      const [before, after] = [await openCheckpoint(input), await openCheckpoint(output)];
      let [error, norm] = [0, 0];
      for (const { name, relativeError, bitsPerWeight, outFeatures, inFeatures } of result.matrices) {
        const [a, b] = await Promise.all(
          [before, after].map(async (each) => dequantize((await each.linear(name)).weight)),
        );
        assert.equal(a.length, outFeatures * inFeatures);
        const squaredError = a.reduce((sum, weight, i) => sum + (weight - b[i]) ** 2, 0);
        const squaredNorm = a.reduce((sum, weight) => sum + weight ** 2, 0);
        assert.ok(Math.abs(relativeError - Math.sqrt(squaredError / squaredNorm)) < 1e-12);
        // 4 bits of a code, and 16 + 4 of a scale and zero point for each group
        assert.equal(bitsPerWeight, 4 + 20 / 32);
        error += squaredError;
        norm += squaredNorm;
      }
      assert.ok(Math.abs(result.relativeError - Math.sqrt(error / norm)) < 1e-12);
      assert.equal(result.toTable().numRows(), LINEARS.length);
      assert.deepEqual(result.toTable().columnNames(), ['matrix', 'out', 'in', 'relative_error', 'bits_per_weight']);
      const { versions, ...record } = result.record;
      assert.deepEqual(record, { model: 'in', hash: await before.hash(), method: 'rtn', bits: 4, groupSize: 32 });
      assert.equal(versions.node, process.versions.node);
      await Promise.all([before.close(), after.close()]);

      const total = (await readFile(join(output, 'model.safetensors'))).length;
      assert.ok(progress.length > LINEARS.length && progress.every(([, all]) => all === total));
      assert.deepEqual(
        progress,
        progress.toSorted(([a], [b]) => a - b),
      );
      assert.equal(progress.at(-1)?.[0], total);
    });
  });

  test('a row of zeros is met exactly', async () => {
    const { config, tensors } = tinyCheckpoint({ weights: 'F32' });
    const [first] = LINEARS;
    (tensors[`${first}.weight`].data as Float32Array).fill(0);
    await withTwin(
      { 'config.json': config, 'model.safetensors': safetensorsFile(tensors) },
      { groupSize: 64 },
      async (_, output, result) => {
        assert.equal(result.matrices[0].relativeError, 0);
        const checkpoint = await openCheckpoint(output);
        assert.ok(dequantize((await checkpoint.linear(first)).weight).every((weight) => weight === 0));
        await checkpoint.close();
        const scales = readRaw(await readFile(join(output, 'model.safetensors'))).uint16(`${first}.scales`);
        assert.ok(scales.every((bits) => bits === nearestHalf(1e-5 / 15) && bits > 0));
      },
    );
  });
});

describe('the bundled INT4 model', () => {
  test('is what its card’s command makes of the float one, byte for byte', async () => {
    const card = await readFile(join(bundled.storytellerInt4, 'README.md'), 'utf8');
    const [, groupSize] = /nibblelens quantize data\/storyteller OUT --group-size (\d+)/.exec(card) ?? [];
    await withFolder({}, async (folder) => {
      const output = join(folder, 'out');
      const result = await quantizeCheckpoint(bundled.storyteller, output, { groupSize: Number(groupSize) });
      const names = (await readdir(bundled.storytellerInt4)).filter((name) => name !== 'README.md').sort();
      assert.deepEqual((await readdir(output)).sort(), names);
      for (const name of names) {
        const [made, kept] = await Promise.all(
          [output, bundled.storytellerInt4].map((each) => readFile(join(each, name))),
        );
        assert.ok(made.equals(kept), name);
      }
      // the card's figures of the weights are those of the command
      const [, error] = /relative error of the weights \| ([\d.]+),/.exec(card) ?? [];
      assert.equal(result.relativeError.toFixed(4), error);
      const errors = result.matrices.map(({ relativeError }) => relativeError);
      const [, least, most] = /; ([\d.]+) to ([\d.]+) each/.exec(card) ?? [];
      assert.deepEqual([Math.min(...errors).toFixed(3), Math.max(...errors).toFixed(3)], [least, most]);
      const [, bits] = /bits per weight \| ([\d.]+) in the matrices/.exec(card) ?? [];
      assert.ok(result.matrices.every(({ bitsPerWeight }) => bitsPerWeight === Number(bits)));
    });
  });
});

describe('what cannot be quantised', () => {
  /** Runs it where only `in` is, and asserts that nothing but `in` is there afterwards. */
  const leavesNothing = (files: FolderFiles, run: (input: string, output: string) => Promise<void>): Promise<void> =>
    withFolder({}, async (folder) => {
      await writeFiles(join(folder, 'in'), files);
      await run(join(folder, 'in'), join(folder, 'out'));
      assert.deepEqual(await readdir(folder), ['in']);
    });
  const float = tinyFolder({ weights: 'F32' });

  test('wrong options are named', async () => {
    await leavesNothing(float, async (input, output) => {
      const rejected = (options: object, message: RegExp) =>
        assert.rejects(quantizeCheckpoint(input, output, options), (error) => {
          return error instanceof OptionError && message.test(error.message);
        });
      await rejected({ method: 'gptq' }, /method: found gptq, expected rtn/);
      await rejected({ bits: 3 }, /bits: found 3, expected 4/);
      for (const groupSize of [15, 0, -64, 32.5, NaN, '64'])
        await rejected({ groupSize }, /groupSize: found .*from 16/);
      await assert.rejects(quantizeCheckpoint(input, output, { groupsize: 64 } as QuantizeOptions), (error) => {
        return error instanceof UnknownNameError && /groupsize.*expected groupSize/.test(error.message);
      });
    });
  });

  test('sizes that the format cannot hold, a quantised checkpoint, a folder that is none', async () => {
    await leavesNothing(float, async (input, output) => {
      await assert.rejects(quantizeCheckpoint(input, output, { groupSize: 48 }), (error) => {
        return (
          error instanceof CheckpointError &&
          /64 inputs, not a multiple of the group size 48.*q_proj/.test(error.message)
        );
      });
      await assert.rejects(quantizeCheckpoint(`${input}x`, output), CheckpointError);
    });
    await leavesNothing(tinyFolder({ weights: 'gemm' }), async (input, output) => {
      await assert.rejects(
        quantizeCheckpoint(input, output, { groupSize: 32 }),
        /found a quantised one, expected float weights.*q_proj/,
      );
    });
  });

  test('a weight that is no number is named with its place, and what was written is taken away', async () => {
    const { config, tensors } = tinyCheckpoint({ weights: 'F32' });
    const last = LINEARS[LINEARS.length - 1];
    (tensors[`${last}.weight`].data as Float32Array)[5 * TINY.ffn + 7] = NaN;
    const files = { 'config.json': config, 'model.safetensors': safetensorsFile(tensors) };
    await leavesNothing(files, async (input, output) => {
      await assert.rejects(quantizeCheckpoint(input, output, { groupSize: 32 }), (error) => {
        assert.ok(error instanceof CheckpointError, String(error));
        assert.match(error.message, /weight: found NaN.*mlp\.down_proj, output 5, input 7/);
        return true;
      });
    });
  });

  test('an abort at any moment leaves nothing', async () => {
    for (const calls of [0, 1, 3, 20]) {
      await leavesNothing(float, async (input, output) => {
        const controller = new AbortController();
        let left = calls;
        const onProgress = (): void => {
          if (--left <= 0) controller.abort();
        };
        if (calls === 0) controller.abort();
        const options = { groupSize: 32, signal: controller.signal, onProgress };
        await assert.rejects(quantizeCheckpoint(input, output, options), { name: 'AbortError' });
      });
    }
  });

  test('an output that is there already is left alone; an empty folder is taken', async () => {
    await withFolder({ file: 'text' }, async (folder) => {
      const input = join(folder, 'in');
      await writeFiles(input, float);
      const refused = (output: string, found: RegExp) =>
        assert.rejects(quantizeCheckpoint(input, output, { groupSize: 32 }), (error) => {
          return error instanceof OptionError && error.thing === 'output folder' && found.test(String(error.found));
        });
      await refused(input, /a folder with 2 entries/);
      await refused(folder, /a folder with 2 entries/);
      await refused(join(folder, 'file'), /a file, not a folder/);
      await refused(join(folder, 'file', 'out'), /a file, not a folder/);
      assert.equal(await readFile(join(folder, 'file'), 'utf8'), 'text');
      await mkdir(join(folder, 'empty'));
      for (const output of ['empty', 'a/b/c']) {
        await quantizeCheckpoint(input, join(folder, output), { groupSize: 32 });
        assert.deepEqual((await readdir(join(folder, output))).sort(), ['config.json', 'model.safetensors']);
      }
      assert.deepEqual((await readdir(folder)).sort(), ['a', 'empty', 'file', 'in']);
    });
  });
});

/** A plain reader of safetensors that keeps the bytes as they are. */
function readRaw(bytes: Buffer): {
  names: string[];
  tensor(name: string): { dtype: string; shape: number[]; data: Buffer };
  int32(name: string): Int32Array;
  uint16(name: string): Uint16Array;
} {
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: number[] }
  >;
  const tensor = (name: string) => {
    const {
      dtype,
      shape,
      data_offsets: [from, to],
    } = header[name];
    return { dtype, shape, data: bytes.subarray(start + from, start + to) };
  };
  return {
    names: Object.keys(header).filter((name) => name !== '__metadata__'),
    tensor,
    int32: (name) => {
      const { dtype, data } = tensor(name);
      assert.equal(dtype, 'I32');
      return new Int32Array(Uint8Array.from(data).buffer);
    },
    uint16: (name) => {
      const { dtype, data } = tensor(name);
      assert.equal(dtype, 'F16');
      return new Uint16Array(Uint8Array.from(data).buffer);
    },
  };
}
