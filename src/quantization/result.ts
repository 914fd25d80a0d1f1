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

/** How a quantised checkpoint came about: enough to get it again. */
export interface QuantizationRecord {
  /** Name of the float checkpoint's folder. */
  readonly model: string;
  /** Hash of its contents; see `Checkpoint.hash`. */
  readonly hash: string;
  readonly method: 'rtn';
  readonly bits: 4;
  readonly groupSize: number;
  readonly versions: { readonly nibblelens: string; readonly node: string };
}

/** What `quantizeCheckpoint` wrote. */
export class QuantizationResult {
  constructor(
    /** Folder of the INT4 checkpoint. */
    readonly path: string,
    readonly matrices: readonly QuantizedMatrix[],
    /** Over all quantised matrices together. */
    readonly relativeError: number,
    readonly record: QuantizationRecord,
  ) {}

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
