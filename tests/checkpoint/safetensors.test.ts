import assert from 'node:assert/strict';
import { constants } from 'node:buffer';
import { open, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CheckpointError, DisposedError, OptionError, ShapeError } from '../../src/base/errors.js';
import {
  openSafetensors,
  writeSafetensors,
  type LoadMode,
  type TensorToWrite,
} from '../../src/checkpoint/safetensors.js';
import { DTYPE_BITS, ELEMENT_ARRAYS, type Dtype, type ReadableDtype } from '../../src/checkpoint/tensor-info.js';
import { native } from '../../src/native/native.js';
import {
  bytesOf,
  safetensorsFile,
  withFolder,
  withHeader,
  type FileTensor,
  type Tensors,
} from '../support/tiny-checkpoint.js';

const MODES: readonly LoadMode[] = ['map', 'copy'];
const READABLE = Object.keys(ELEMENT_ARRAYS) as ReadableDtype[];
const FILE = 'model.safetensors';

const bytesNeeded = (dtype: Dtype, shape: readonly number[]): number =>
  Math.ceil((shape.reduce((product, size) => product * size, 1) * DTYPE_BITS[dtype]) / 8);

/** Any tensors of dtypes that can be read, NaN and infinities among the bits. */
const anyTensors: fc.Arbitrary<Tensors> = fc.dictionary(
  fc
    .oneof(fc.string({ maxLength: 12 }), fc.constantFrom('__proto__', 'constructor', 'é\u0000"\\', '7'))
    .filter((name) => name !== '__metadata__'),
  fc
    .record({ dtype: fc.constantFrom(...READABLE), shape: fc.array(fc.nat({ max: 4 }), { maxLength: 4 }) })
    .chain(({ dtype, shape }) => {
      const length = bytesNeeded(dtype, shape);
      return fc
        .uint8Array({ minLength: length, maxLength: length })
        .map((data): FileTensor => ({ dtype, shape, data }));
    }),
  { maxKeys: 6, noNullPrototype: true },
);

describe('reading', () => {
  test('any tensors, by their bits, mapped and copied', async () => {
    await withFolder({}, async (folder) => {
      const path = join(folder, FILE);
      await fc.assert(
        fc.asyncProperty(
          anyTensors,
          fc.dictionary(fc.string(), fc.string(), { maxKeys: 2, noNullPrototype: true }),
          async (tensors, metadata) => {
            await writeFile(path, safetensorsFile(tensors, metadata));
            for (const load of MODES) {
              const file = await openSafetensors(path, { load });
              assert.deepEqual([...file.tensors.keys()].sort(), Object.keys(tensors).sort());
              assert.deepEqual([...file.metadata].sort(), Object.entries(metadata).sort());
              for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
                const info = file.info(name);
                assert.deepEqual([info.dtype, info.shape, info.bytes], [dtype, shape, data.byteLength]);
                const elements = await file.read(name);
                assert.ok(elements instanceof ELEMENT_ARRAYS[dtype as ReadableDtype]);
                assert.deepEqual(bytesOf(elements), bytesOf(data), `${load} ${name}`);
                assert.deepEqual(await file.readBytes(info.offset, info.bytes), bytesOf(data));
              }
              await file.close();
            }
          },
        ),
        { numRuns: 150 },
      );
    });
  });

  test('each dtype by its value', async () => {
    const tensors: Tensors = {
      flag: { dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) },
      u8: { dtype: 'U8', shape: [1], data: Uint8Array.of(255) },
      i8: { dtype: 'I8', shape: [1], data: Int8Array.of(-128) },
      i16: { dtype: 'I16', shape: [1], data: Int16Array.of(-32768) },
      u16: { dtype: 'U16', shape: [1], data: Uint16Array.of(65535) },
      f16: { dtype: 'F16', shape: [1], data: Uint16Array.of(0x3c00) },
      bf16: { dtype: 'BF16', shape: [1], data: Uint16Array.of(0x3f80) },
      i32: { dtype: 'I32', shape: [1], data: Int32Array.of(-(2 ** 31)) },
      u32: { dtype: 'U32', shape: [1], data: Uint32Array.of(2 ** 32 - 1) },
      f32: { dtype: 'F32', shape: [1], data: Float32Array.of(1.5) },
      i64: { dtype: 'I64', shape: [1], data: BigInt64Array.of(-(2n ** 63n)) },
      u64: { dtype: 'U64', shape: [1], data: BigUint64Array.of(2n ** 64n - 1n) },
      f64: { dtype: 'F64', shape: [], data: Float64Array.of(Math.PI) },
    };
    await withFolder({ [FILE]: safetensorsFile(tensors) }, async (folder) => {
      for (const load of MODES) {
        const file = await openSafetensors(join(folder, FILE), { load });
        assert.notEqual(file.info('f64').offset % 8, 0, 'the case of elements that are not aligned');
        for (const [name, { data }] of Object.entries(tensors)) assert.deepEqual(await file.read(name), data, name);
        await file.close();
      }
    });
  });

  test('dtypes that no array holds are recognised, and refused when they are read', async () => {
    const others = (Object.keys(DTYPE_BITS) as Dtype[]).filter((dtype) => !Object.hasOwn(ELEMENT_ARRAYS, dtype));
    assert.ok(others.includes('F8_E4M3') && others.includes('F8_E5M2'));
    const tensors = Object.fromEntries(
      others.map((dtype) => [dtype, { dtype, shape: [2, 4], data: new Uint8Array(bytesNeeded(dtype, [8])).fill(7) }]),
    );
    await withFolder({ [FILE]: safetensorsFile(tensors) }, async (folder) => {
      const file = await openSafetensors(join(folder, FILE));
      for (const dtype of others) {
        const { offset, bytes } = file.info(dtype);
        assert.equal(bytes, DTYPE_BITS[dtype]);
        assert.deepEqual(await file.readBytes(offset, bytes), new Uint8Array(bytes).fill(7));
        await assert.rejects(file.read(dtype), (error) => {
          return (
            error instanceof CheckpointError &&
            error.found === dtype &&
            /model\.safetensors, tensor/.test(error.message)
          );
        });
      }
      await file.close();
    });
  });

  test('a file of over 4 GiB, which takes no room', async (t) => {
    if (!native()) return t.skip('only mapped files can be this large without the memory');
    const [long, large, small] = [5, 3, 2 ** -28].map((size) => size * 2 ** 30);
    const header = {
      long: { dtype: 'U8', shape: [long], data_offsets: [0, long] },
      large: { dtype: 'F32', shape: [large / 4], data_offsets: [long, long + large] },
      odd: { dtype: 'U8', shape: [1], data_offsets: [long + large, long + large + 1] },
      small: { dtype: 'F32', shape: [1], data_offsets: [long + large + 1, long + large + 1 + small] },
    };
    const json = JSON.stringify(header);
    await withFolder({ [FILE]: withHeader(json.padEnd(Math.ceil(json.length / 8) * 8)) }, async (folder) => {
      const path = join(folder, FILE);
      const file = await open(path, 'r+');
      const end = (await file.stat()).size + long + large + 1;
      await file.write(Float32Array.of(2.5), 0, 4, end - 5);
      await file.write(Uint8Array.of(7), 0, 1, end - 1);
      await file.write(Float32Array.of(-1.5), 0, 4, end);
      await file.close();
      const tensors = await openSafetensors(path);
      assert.equal(tensors.length, end + 4);
      const values = await tensors.read('large');
      assert.equal(values.length, large / 4);
      assert.deepEqual([values[0], values[large / 4 - 1]], [0, 2.5]);
      assert.deepEqual(await tensors.read('odd'), Uint8Array.of(7));
      assert.deepEqual(await tensors.read('small'), Float32Array.of(-1.5));
      if (constants.MAX_LENGTH < long) {
        await assert.rejects(tensors.read('long'), (error) => {
          return error instanceof CheckpointError && error.found === long && /tensor "long"/.test(error.message);
        });
      }
      await tensors.close();
    });
  });

  test('the addon maps what a file has, and nothing else', async (t) => {
    const addon = native();
    if (!addon) return t.skip('the native addon is not built');
    await withFolder({ [FILE]: Uint8Array.from({ length: 5000 }, (_, i) => i) }, async (folder) => {
      const path = join(folder, FILE);
      for (const [offset, length] of [
        [0, 5000],
        [0, 1],
        [4999, 1],
        [4096, 904],
        [100, 4500],
      ]) {
        const bytes: Uint8Array = new Uint8Array(addon.mapFile(path, offset, length));
        assert.deepEqual(
          bytes,
          Uint8Array.from({ length }, (_, i) => offset + i),
        );
        bytes[0]++;
      }
      assert.deepEqual(
        new Uint8Array(await readFile(path)),
        Uint8Array.from({ length: 5000 }, (_, i) => i),
      );
      for (const [offset, length] of [
        [0, 5001],
        [5000, 1],
        [1, 5000],
        [2 ** 53 - 1, 1],
        [1, 2 ** 32],
      ]) {
        assert.throws(() => addon.mapFile(path, offset, length), { code: 'ERANGE' });
      }
      for (const [offset, length] of [
        [0, 0],
        [-1, 5],
        [0, 2 ** 32 + 1],
        [0.5, 1],
        [0, NaN],
      ]) {
        assert.throws(() => addon.mapFile(path, offset, length), RangeError);
      }
      assert.throws(() => addon.mapFile(`${path}.no`, 0, 1), { code: 'ENOENT' });
      assert.throws(() => addon.mapFile(`${path}\0`, 0, 1), TypeError);
      if (process.platform === 'win32') return;
      assert.throws(() => addon.mapFile(folder, 0, 1), { code: 'EISDIR' });
      assert.throws(() => addon.mapFile('/dev/null', 0, 1), { code: 'EINVAL' });
    });
  });

  test('after close its arrays stay, and nothing else is read', async () => {
    const tensors = { a: { dtype: 'I16', shape: [2], data: Int16Array.of(1, 2) } };
    await withFolder({ [FILE]: safetensorsFile(tensors) }, async (folder) => {
      for (const load of MODES) {
        const file = await openSafetensors(join(folder, FILE), { load });
        const array = await file.read('a');
        const late = file.read('a');
        await file.close();
        await file.close();
        assert.deepEqual(array, Int16Array.of(1, 2));
        assert.deepEqual(await late, array);
        await assert.rejects(file.read('a'), DisposedError);
        await assert.rejects(file.readBytes(0, 8), DisposedError);
      }
    });
  });

  test('a name or range that is not there', async () => {
    const tensors = { 'model.norm.weight': { dtype: 'U8', shape: [1], data: Uint8Array.of(1) } };
    await withFolder({ [FILE]: safetensorsFile(tensors) }, async (folder) => {
      const file = await openSafetensors(join(folder, FILE));
      await assert.rejects(file.read('model.norm'), (error) => {
        return error instanceof CheckpointError && /model\.norm\.weight/.test(String(error.expected));
      });
      for (const [offset, bytes] of [
        [-1, 2],
        [0, file.length + 1],
        [file.length, 1],
      ]) {
        await assert.rejects(file.readBytes(offset, bytes), CheckpointError);
      }
      await file.close();
    });
  });

  test('a copied file that shrinks is a typed error', async () => {
    const tensors = { a: { dtype: 'U8', shape: [4096], data: new Uint8Array(4096) } };
    await withFolder({ [FILE]: safetensorsFile(tensors) }, async (folder) => {
      const file = await openSafetensors(join(folder, FILE), { load: 'copy' });
      await truncate(join(folder, FILE), file.length - 100);
      await assert.rejects(file.read('a'), (error) => {
        return (
          error instanceof CheckpointError &&
          error.where === join(folder, FILE) &&
          /its end at byte/.test(String(error.found))
        );
      });
      await file.close();
    });
  });

  test('reading stops when it is told to', async () => {
    const tensors = { a: { dtype: 'U8', shape: [4], data: new Uint8Array(4) } };
    await withFolder({ [FILE]: safetensorsFile(tensors) }, async (folder) => {
      const file = await openSafetensors(join(folder, FILE), { load: 'copy' });
      const stop = () => Promise.reject(new Error('stopped'));
      await assert.rejects(file.read('a', stop), /stopped/);
      assert.deepEqual(await file.read('a'), new Uint8Array(4));
      await file.close();
    });
  });
});

/** A plain reading of a file: its header's text and the bytes of each tensor. */
function parsed(file: Uint8Array): {
  dataOffset: number;
  header: string;
  tensors: Map<string, { entry: Record<string, unknown>; bytes: Uint8Array }>;
} {
  const length = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const header = new TextDecoder().decode(file.subarray(8, 8 + length));
  const entries = Object.entries<Record<string, unknown>>(JSON.parse(header)).filter(
    ([name]) => name !== '__metadata__',
  );
  const data = file.subarray(8 + length);
  return {
    dataOffset: 8 + length,
    header,
    tensors: new Map(
      entries.map(([name, entry]) => {
        const [from, to] = entry.data_offsets as [number, number];
        return [name, { entry, bytes: data.subarray(from, to) }];
      }),
    ),
  };
}

describe('writing', () => {
  test('any tensors come back, aligned and without holes, and equal input gives equal bytes', async () => {
    await withFolder({}, async (folder) => {
      const path = join(folder, FILE);
      await fc.assert(
        fc.asyncProperty(anyTensors, async (tensors) => {
          const list = Object.entries(tensors).map(([name, { dtype, shape, data }], i): TensorToWrite => {
            return { name, dtype: dtype as Dtype, shape, data: i % 2 === 0 ? data : async () => data };
          });
          await writeSafetensors(path, list, { format: 'pt' });
          const file = new Uint8Array(await readFile(path));
          const { dataOffset, header, tensors: found } = parsed(file);
          assert.equal(dataOffset % 64, 0);
          assert.deepEqual(JSON.parse(header).__metadata__, { format: 'pt' });
          assert.deepEqual([...found.keys()].sort(), Object.keys(tensors).sort());
          let total = 0;
          for (const [name, { entry, bytes }] of found) {
            const { dtype, shape, data } = tensors[name];
            assert.deepEqual([entry.dtype, entry.shape], [dtype, shape]);
            assert.deepEqual(bytes, bytesOf(data));
            assert.equal((bytes.byteOffset - file.byteOffset) % (DTYPE_BITS[dtype as Dtype] / 8), 0);
            total += bytes.length;
          }
          assert.equal(file.length, dataOffset + total);
          await writeSafetensors(path, list.reverse(), { format: 'pt' });
          assert.deepEqual(new Uint8Array(await readFile(path)), file);
        }),
        { numRuns: 60 },
      );
      assert.deepEqual(await readdir(folder), [FILE]);
    });
  });

  test('what cannot be written leaves nothing behind, and what was there as it was', async () => {
    const tensor = (name: string, length: number): TensorToWrite => {
      return { name, dtype: 'F32', shape: [2], data: new Uint8Array(length) };
    };
    await withFolder({ [FILE]: 'before' }, async (folder) => {
      const path = join(folder, FILE);
      await assert.rejects(writeSafetensors(path, [tensor('a', 8), tensor('a', 8)]), OptionError);
      await assert.rejects(writeSafetensors(path, [tensor('__metadata__', 8)]), OptionError);
      await assert.rejects(writeSafetensors(path, [tensor('a', 8), tensor('b', 7)]), ShapeError);
      const failing = { ...tensor('b', 0), data: () => Promise.reject(new Error('made badly')) };
      await assert.rejects(writeSafetensors(path, [tensor('a', 8), failing]), /made badly/);
      const controller = new AbortController();
      const aborting = { ...tensor('b', 0), data: () => (controller.abort(), new Uint8Array(8)) };
      await assert.rejects(
        writeSafetensors(path, [tensor('a', 8), aborting], {}, { signal: controller.signal }),
        /abort/i,
      );
      assert.deepEqual(await readdir(folder), [FILE]);
      assert.equal(await readFile(path, 'utf8'), 'before');
    });
  });
});
