import type { Tensor } from '@tensorflow/tfjs-core';
import { checkWhole } from '../base/options.js';
import { embedding as kernel } from '../kernels/embedding.js';
import { runKernel } from '../kernels/run.js';
import { valuesOf } from '../kernels/tfjs.js';
import type { MatrixStorage } from '../matrix/storage.js';
import { checkMatrix, checkTensor } from './check.js';

/**
 * Rows of a table [vocab, d_model] by their ids: int32 [...] → [..., d_model].
 * @throws ShapeError for ids that are not int32 and sizes that do not fit, OptionError for an id outside the table.
 */
export function embedding(ids: Tensor, table: MatrixStorage): Tensor {
  checkTensor('embedding', 'ids', ids, null, 'int32');
  checkMatrix('embedding', 'table', table);
  for (const id of valuesOf(ids)) checkWhole('embedding', 'token id', id, 0, table.outFeatures - 1);
  return runKernel(kernel.name, { ids }, { table });
}
