import type { Tensor } from '@tensorflow/tfjs-core';
import { OptionError } from '../base/errors.js';
import { embedding as kernel } from '../kernels/embedding.js';
import { runKernel } from '../kernels/run.js';
import { valuesOf } from '../kernels/tfjs.js';
import type { DenseStorage } from '../matrix/storage.js';
import { checkTensor } from './check.js';

/**
 * Rows of a table [vocab, d_model] by their ids: int32 [...] → [..., d_model].
 * @throws ShapeError for ids that are not int32, OptionError for an id outside the table.
 */
export function embedding(ids: Tensor, table: DenseStorage): Tensor {
  checkTensor('embedding', 'ids', ids, null, 'int32');
  const wrong = valuesOf(ids).find((id) => id < 0 || id >= table.outFeatures);
  if (wrong !== undefined) {
    throw new OptionError({ thing: 'token id', found: wrong, expected: `0 to ${table.outFeatures - 1}`, where: 'embedding' });
  }
  return runKernel(kernel.name, { ids }, { table });
}
