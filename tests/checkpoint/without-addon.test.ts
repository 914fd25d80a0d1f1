// Before the addon is asked for, which happens at its first use.
process.env.NIBBLELENS_NATIVE = 'off';

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { openCheckpoint } from '../../src/checkpoint/index.js';
import { dequantize } from '../../src/matrix/index.js';
import { loadWeights } from '../../src/model/load-weights.js';
import { LINEAR_NAMES } from '../../src/model/weights.js';
import { isMapped } from '../../src/native/mapped-files.js';
import { native, nativeAbsence } from '../../src/native/native.js';
import { denseValues, sharded, tinyCheckpoint, withFolder, type TinyOptions } from '../support/tiny-checkpoint.js';

describe('without the native addon', () => {
  test('it is off here', () => {
    assert.equal(native(), null);
    assert.match(nativeAbsence() ?? '', /NIBBLELENS_NATIVE=off/);
  });

  const formats: TinyOptions[] = [
    { weights: 'F32' },
    { weights: 'BF16', floats: 'F16', tied: true, bias: true },
    { weights: 'gemm' },
    { weights: 'gemv' },
  ];
  for (const options of formats) {
    test(`a checkpoint opens by plain reads, as it is in its files: ${JSON.stringify(options)}`, async () => {
      const { config, tensors } = tinyCheckpoint(options);
      await withFolder({ 'config.json': config, ...sharded(tensors) }, async (folder) => {
        const checkpoint = await openCheckpoint(folder);
        const weights = await loadWeights(checkpoint);
        for (const tensor of checkpoint.tensors) {
          const { buffer, byteOffset, byteLength } = tensors[tensor.name].data;
          assert.deepEqual(await checkpoint.bytesOf(tensor), new Uint8Array(buffer, byteOffset, byteLength));
        }
        await checkpoint.close();
        assert.equal(isMapped(denseValues(weights.embed_tokens)), false);
        assert.deepEqual(denseValues(weights.embed_tokens), tensors['model.embed_tokens.weight'].data);
        if (options.weights === 'F32') {
          for (const name of LINEAR_NAMES) {
            const { weight } = weights.layers[0][name];
            const module =
              name.endsWith('gate_proj') || name.endsWith('up_proj') || name.endsWith('down_proj')
                ? 'mlp'
                : 'self_attn';
            assert.deepEqual(dequantize(weight), tensors[`model.layers.0.${module}.${name}.weight`].data);
          }
        }
      });
    });
  }
});
