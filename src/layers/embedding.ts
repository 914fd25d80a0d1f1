import type { Tensor } from '@tensorflow/tfjs-core';
import type { MatrixStorage } from '../matrix/storage.js';
import { embedding } from '../ops/index.js';

/** Rows of a table, chosen by token id. */
export class Embedding {
  constructor(readonly weight: MatrixStorage /* [vocab, d_model] */) {}

  /** `ids`: int32 [batch, pos] */
  forward(ids: Tensor): Tensor {
    return embedding(ids, this.weight); // [batch, pos, d_model]
  }
}
