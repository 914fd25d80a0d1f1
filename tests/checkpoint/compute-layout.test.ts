import assert from 'node:assert/strict';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CheckpointError, ShapeError } from '../../src/base/errors.js';
import { openFiles } from '../../src/checkpoint/checkpoint-files.js';
import { ComputeFiles } from '../../src/checkpoint/compute-files.js';
import type { ModuleSpec } from '../../src/checkpoint/names.js';
import { writeComputeFile, type MatrixToWrite } from '../../src/checkpoint/write-compute.js';
import { CODE_BITS, formOf, packMatrix, storageArrays, type MatrixStorage } from '../../src/matrix/index.js';
import { isMapped } from '../../src/native/mapped-files.js';
import { native } from '../../src/native/native.js';
import { bytesOf, withFolder, withHeader } from '../support/tiny-checkpoint.js';

const FILE = 'model.safetensors';
const breathe = async () => {};

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const halves = (length: number): fc.Arbitrary<Uint16Array> => fc.uint16Array({ minLength: length, maxLength: length });
/** Any bits, NaN among them. */
const floats = (length: number): fc.Arbitrary<Float32Array> => bytes(4 * length).map((raw) => new Float32Array(raw.slice().buffer));

const sizes = fc.record({ outFeatures: fc.integer({ min: 1, max: 33 }), inFeatures: fc.integer({ min: 1, max: 300 }) });

const dense: fc.Arbitrary<MatrixStorage> = sizes.chain(({ outFeatures, inFeatures }) =>
  fc.constantFrom('f32', 'f16', 'bf16').chain((dtype) => {
    const values: fc.Arbitrary<Float32Array | Uint16Array> = (dtype === 'f32' ? floats : halves)(outFeatures * inFeatures);
    return values.map((array): MatrixStorage => ({ kind: 'dense', dtype, outFeatures, inFeatures, values: array }));
  }),
);

/** Of every number of bits and decode rule, with groups that do not fill a row too. */
const packed: fc.Arbitrary<MatrixStorage> = fc
  .record({
    size: sizes,
    bits: fc.constantFrom(...CODE_BITS),
    groupSize: fc.integer({ min: 1, max: 320 }),
    scales: fc.constantFrom('f16', 'f32'),
    rule: fc.constantFrom('middle', 'zeros', 'offsets'),
  })
  .chain(({ size: { outFeatures, inFeatures }, bits, groupSize, scales, rule }) => {
    const groups = outFeatures * Math.ceil(inFeatures / groupSize);
    const masked = (length: number) => bytes(length).map((all) => all.map((byte) => byte & (2 ** bits - 1)));
    const perGroup: fc.Arbitrary<Float32Array | Uint16Array> = (scales === 'f16' ? halves : floats)(groups);
    return fc
      .record({
        codes: masked(outFeatures * inFeatures),
        scales: perGroup,
        zeros: rule === 'zeros' ? masked(groups) : fc.constant(null),
        offsets: rule === 'offsets' ? perGroup : fc.constant(null),
      })
      .map((arrays) => packMatrix({ bits, outFeatures, inFeatures, groupSize, ...arrays }));
  });

const matrixToWrite = (name: string, weight: MatrixStorage, bias: Float32Array | null = null): MatrixToWrite => {
  const { outFeatures, inFeatures } = weight;
  const read = async () => ({ weight, bias });
  return { kind: 'matrix', name, outFeatures, inFeatures, form: formOf(weight), hasBias: bias !== null, read };
};

const specOf = ({ name, outFeatures, inFeatures }: MatrixToWrite): ModuleSpec => ({
  name,
  kind: 'linear',
  shape: [outFeatures, inFeatures],
  bias: false,
});

/** The parts of a safetensors file, read plainly. */
async function partsOf(path: string): Promise<{ header: Record<string, Entry>; data: Uint8Array; dataOffset: number }> {
  const file = await readFile(path);
  const dataOffset = 8 + Number(file.readBigUInt64LE(0));
  return { header: JSON.parse(file.toString('utf8', 8, dataOffset)), data: file.subarray(dataOffset), dataOffset };
}
type Entry = { dtype: string; shape: number[]; data_offsets: [number, number] } & Record<string, string>;

const withoutArrays = (storage: MatrixStorage): object =>
  Object.fromEntries(Object.entries(storage).filter(([, value]) => !ArrayBuffer.isView(value)));

const bitsOf = (array: ArrayBufferView): string => Buffer.from(bytesOf(array)).toString('hex');

describe('a file in compute layout', () => {
  test('gives every matrix back, bit by bit, mapped and copied, all arrays aligned to 64 bytes and none copied', async () => {
    await withFolder({}, async (folder) => {
      const path = join(folder, FILE);
      const matrices = fc.array(fc.tuple(fc.oneof(packed, dense), fc.boolean()), { minLength: 1, maxLength: 4 });
      await fc.assert(
        fc.asyncProperty(matrices, async (storages) => {
          const biasOf = ({ outFeatures }: MatrixStorage) => new Float32Array(outFeatures).fill(0.1);
          const modules = storages.map(([weight, bias], i) => matrixToWrite(`m${i}`, weight, bias ? biasOf(weight) : null));
          await writeComputeFile(path, modules, { about: 'a test' });

          const { header, data, dataOffset } = await partsOf(path);
          const { __metadata__: metadata, ...tensors } = header;
          assert.equal(metadata['nibblelens.layout'], '3');
          assert.equal(metadata.about, 'a test');
          assert.equal(dataOffset % 64, 0);
          let end = 0;
          for (const { data_offsets: [from, to] } of Object.values(tensors)) {
            // without holes, as the format asks for
            assert.equal(from, end);
            assert.equal((to - from) % 64, 0);
            end = to;
          }
          assert.equal(end, data.length);

          for (const load of ['map', 'copy'] as const) {
            const files = new ComputeFiles(await openFiles(path, { load }));
            for (const [i, module] of modules.entries()) {
              const spec = specOf(module);
              const [weight, hasBias] = storages[i];
              files.check(spec);
              assert.deepEqual(files.formOf(spec), formOf(weight));
              const read = await files.matrix(spec, breathe);
              assert.deepEqual(withoutArrays(read), withoutArrays(weight));
              const arrays = storageArrays(read);
              assert.deepEqual(arrays.map(bitsOf), storageArrays(weight).map(bitsOf));
              assert.deepEqual(arrays.map(({ constructor }) => constructor), storageArrays(weight).map(({ constructor }) => constructor));
              const bias = await files.bias(spec, breathe);
              assert.deepEqual(bias, hasBias ? biasOf(weight) : null);
              if (load === 'copy' || !native()) continue;
              for (const array of arrays) {
                assert.ok(isMapped(array));
                assert.equal(array.byteOffset % 64, 0);
              }
            }
            await files.close();
          }
        }),
        { numRuns: 60 },
      );
    });
  });

  test('arrays that are not what was promised are refused', async () => {
    await withFolder({}, async (folder) => {
      const weight: MatrixStorage = { kind: 'dense', dtype: 'f32', outFeatures: 2, inFeatures: 3, values: new Float32Array(6) };
      const path = join(folder, FILE);
      for (const lie of [{ outFeatures: 3 }, { form: { kind: 'dense', dtype: 'f16' } as const }, { hasBias: true }]) {
        await assert.rejects(writeComputeFile(path, [{ ...matrixToWrite('m', weight), ...lie }]), ShapeError);
      }
    });
  });
});

describe('a file in compute layout that cannot be', () => {
  const module = matrixToWrite(
    'm',
    packMatrix({ bits: 3, outFeatures: 4, inFeatures: 70, groupSize: 32, codes: new Uint8Array(280).fill(5), scales: new Uint16Array(12).fill(0x3c00), zeros: new Uint8Array(12) }),
    new Float32Array(4),
  );

  /** Opens the file once `change` was made to its header, and checks and reads its matrix. */
  async function opened(change: (header: Record<string, Entry>) => void, spec: Partial<ModuleSpec> = {}, pad = 0): Promise<void> {
    await withFolder({}, async (folder) => {
      const path = join(folder, FILE);
      await writeComputeFile(path, [module]);
      const { header, data } = await partsOf(path);
      change(header);
      const json = JSON.stringify(header);
      const length = Math.ceil((8 + Buffer.byteLength(json)) / 64) * 64 + pad;
      await writeFile(path, withHeader(json.padEnd(length - 8), data));
      const files = await openFiles(path);
      try {
        const compute = new ComputeFiles(files);
        compute.check({ ...specOf(module), ...spec });
        await compute.matrix({ ...specOf(module), ...spec }, breathe);
      } finally {
        await Promise.all(files.files.map((file) => file.close()));
      }
    });
  }
  const metadata = (header: Record<string, Entry>): Record<string, string> => header.__metadata__;
  const matrices = (text: string) => (header: Record<string, Entry>) => void (metadata(header)['nibblelens.matrices'] = text);

  test('is taken as it was written', async () => {
    await opened(() => {});
  });

  const cases: readonly (readonly [name: string, message: RegExp, change: (header: Record<string, Entry>) => void])[] = [
    ['another layout', /compute layout: found "2", expected 3; "nibblelens convert" writes it anew/, (h) => void (metadata(h)['nibblelens.layout'] = '2')],
    ['no matrices', /JSON: found .*nibblelens\.matrices/, (h) => void delete metadata(h)['nibblelens.matrices']],
    ['bits that no kernel reads', /bits: found 7, expected 2, 3, 4, 5, 6, 8 .*"m"/, matrices('{"m":{"bits":7,"groupSize":32}}')],
    ['no group size', /groupSize: found nothing, expected a whole number over 0/, matrices('{"m":{"bits":3}}')],
    ['a group size of 0', /groupSize: found 0/, matrices('{"m":{"bits":3,"groupSize":0}}')],
    ['something else in place of sizes', /bits: found nothing/, matrices('{"m":[3,32]}')],
    ['other bits than the codes have', /shape: found \[576\], expected \[768\]: 768 elements.*tensor "m\.codes"/, matrices('{"m":{"bits":4,"groupSize":32}}')],
    ['other groups than the scales have', /shape: found \[64\], expected \[1120\]: 1120 elements.*tensor "m\.scales"/, matrices('{"m":{"bits":3,"groupSize":1}}')],
    ['no scales', /tensor m\.scales: found nothing, expected that tensor; nearest: /, (h) => void delete h['m.scales']],
    ['whole numbers for scales', /dtype: found I16, expected F16 or F32/, (h) => void (h['m.scales'].dtype = 'I16')],
    ['a bias in float16', /dtype: found F16, expected F32 .*tensor "m\.bias"/, (h) => Object.assign(h['m.bias'], { dtype: 'F16', shape: [32] })],
    ['two dimensions', /shape: found \[2, 32\], expected \[64\]/, (h) => void (h['m.scales'].shape = [2, 32])],
    ['zeros and offsets', /decode rule: found zeros and offsets, expected one of them at most/, (h) => {
      h['m.offsets'] = h['m.bias'];
      delete h['m.bias'];
    }],
  ];
  for (const [name, message, change] of cases) {
    test(name, async () => {
      await assert.rejects(opened(change), (error) => {
        assert.ok(error instanceof CheckpointError);
        assert.match(error.message, message);
        return true;
      });
    });
  }

  test('a matrix of another size', async () => {
    await assert.rejects(opened(() => {}, { shape: [17, 70] }), /shape: found \[\d+\], expected \[\d+\]: \d+ elements, filled up to a multiple of 64 bytes/);
  });

  test('data that start anywhere', async () => {
    await assert.rejects(opened(() => {}, {}, 4), /start of a tensor: found byte \d+, expected a multiple of 64/);
  });

  test('one that was cut', async () => {
    await withFolder({}, async (folder) => {
      const path = join(folder, FILE);
      await writeComputeFile(path, [module]);
      await truncate(path, (await readFile(path)).length - 64);
      await assert.rejects(openFiles(path), /data_offsets: found \[\d+, \d+\], expected .* within/);
    });
  });
});
