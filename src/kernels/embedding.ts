import type { MatrixStorage } from '../matrix/storage.js';
import { native, type NativeAddon } from '../native/native.js';
import type { Kernel, Operand } from './kernel.js';
import { decodeRow } from './weight-rows.js';

/** y[r] = table[ids[r]] */
export const embeddingReference: NativeAddon['embedding'] = (ids, table, y) => {
  const row = new Float64Array(table.inFeatures);
  ids.forEach((id, r) => {
    decodeRow(table, id, row);
    y.set(row, r * table.inFeatures);
  });
};

/** Rows of a table by their indices: ids [...] of int32 → [..., d_model]. It has no float input, so no gradient. */
export const embedding: Kernel<{ ids: Operand<Int32Array> }, { readonly table: MatrixStorage }> = {
  name: 'NibbleEmbedding',
  compute({ ids }, { table }) {
    const y = new Float32Array(ids.values.length * table.inFeatures);
    (native()?.embedding ?? embeddingReference)(ids.values, table, y);
    return { values: y, shape: [...ids.shape, table.inFeatures] };
  },
};
