import { table, type ColumnTable } from 'arquero';

/** What quantisation did to one matrix. */
export interface QuantizedMatrix {
  /** "model.layers.0.self_attn.q_proj" */
  readonly name: string;
  readonly outFeatures: number;
  readonly inFeatures: number;
  /** √(Σ(w − ŵ)² / Σw²), ŵ the weights that the written file stands for. */
  readonly relativeError: number;
  /** With scales and zero points, in the file. */
  readonly bitsPerWeight: number;
}

/** What `quantizeCheckpoint` wrote. */
export class QuantizationResult {
  readonly path: string;
  readonly method: string;
  readonly bits: number;
  readonly groupSize: number;
  readonly matrices: readonly QuantizedMatrix[];
  /** Over all quantised matrices together. */
  readonly relativeError: number;

  constructor(
    about: { path: string; method: string; bits: number; groupSize: number },
    matrices: readonly QuantizedMatrix[],
    relativeError: number,
  ) {
    this.path = about.path;
    this.method = about.method;
    this.bits = about.bits;
    this.groupSize = about.groupSize;
    this.matrices = matrices;
    this.relativeError = relativeError;
  }

  /** One row per matrix. */
  toTable(): ColumnTable {
    const column = <Key extends keyof QuantizedMatrix>(key: Key) => this.matrices.map((matrix) => matrix[key]);
    return table({
      matrix: column('name'),
      out: column('outFeatures'),
      in: column('inFeatures'),
      relative_error: column('relativeError'),
      bits_per_weight: column('bitsPerWeight'),
    });
  }
}
