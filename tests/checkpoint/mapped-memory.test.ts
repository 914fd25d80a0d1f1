import assert from 'node:assert/strict';
import { mkdir, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { layoutMetadata, matrixArrays, paddedLength, vectorArray } from '../../src/checkpoint/compute-layout.js';
import { layerModules, outerModules } from '../../src/checkpoint/names.js';
import { randomConfig, randomConfigJson } from '../../src/checkpoint/random/shapes.js';
import { DTYPE_BITS } from '../../src/checkpoint/tensor-info.js';
import type { PackedForm } from '../../src/matrix/index.js';
import { native } from '../../src/native/native.js';
import { runInProcess } from '../support/process.js';
import { withFolder, withHeader } from '../support/tiny-checkpoint.js';

const FORM: PackedForm = { kind: 'packed', bits: 4, groupSize: 32, scales: 'f16', zeros: false, offsets: false };

/** A folder in compute layout of 1.1 billion weights of 4 bits, all 0: a file with a hole, which takes no room on the disk. */
async function emptyModel(folder: string): Promise<number> {
  const config = randomConfig('1.1b');
  const { embedding, norm, lmHead } = outerModules(config);
  const layers = Array.from({ length: config.numHiddenLayers }, (_, i) => layerModules(config, i));
  const specs = [embedding, ...layers.flat(), norm, lmHead];
  const header: Record<string, object> = {
    __metadata__: layoutMetadata(new Map(specs.filter(({ kind }) => kind !== 'norm').map(({ name }) => [name, FORM]))),
  };
  let end = 0;
  for (const { name, kind, shape: [out, input] } of specs) {
    for (const array of kind === 'norm' ? [vectorArray('weight', out)] : matrixArrays(FORM, out, input)) {
      const length = paddedLength(array);
      const begin = end;
      end += (length * DTYPE_BITS[array.dtype]) / 8;
      header[`${name}.${array.array}`] = { dtype: array.dtype, shape: [length], data_offsets: [begin, end] };
    }
  }
  const json = JSON.stringify(header);
  const bytes = withHeader(json.padEnd(Math.ceil((8 + json.length) / 64) * 64 - 8));
  await mkdir(folder);
  await writeFile(join(folder, 'config.json'), JSON.stringify(randomConfigJson('1.1b')));
  await writeFile(join(folder, 'model.safetensors'), bytes);
  await truncate(join(folder, 'model.safetensors'), bytes.length + end);
  return end;
}

test('a converted model of 1.1 billion weights opens without being read', { skip: !native() && 'no native addon' }, async () => {
  await withFolder({}, async (folder) => {
    const path = join(folder, 'model');
    const data = await emptyModel(path);
    assert.ok((await stat(join(path, 'model.safetensors'))).size > 600e6);
    // copied, it grows by all of the file
    const { stdout } = await runInProcess(`
      import { loadModel } from './src/opened-model.js';
      const before = process.memoryUsage.rss();
      const model = await loadModel(${JSON.stringify(path)});
      const grown = process.memoryUsage.rss() - before;
      console.log(JSON.stringify({ grown, rows: model.memory().objects() }));`);
    const { grown, rows } = JSON.parse(stdout) as { grown: number; rows: { kind: string; bytes: number; mapped: number }[] };
    assert.ok(grown < 0.15 * data, `${grown} bytes more of ${data}`);
    for (const { kind, bytes, mapped } of rows) assert.equal(mapped, kind === 'rotary table' ? 0 : bytes, kind);
  });
});
