import { table, type ColumnTable } from 'arquero';
import { breather } from '../base/event-loop.js';
import { checkOptionNames } from '../base/options.js';
import { matmulDense } from '../kernels/matmul-dense.js';
import { matmulPacked } from '../kernels/matmul-packed.js';
import type { ModelRun } from '../lens/model-run.js';
import type { HookName } from '../layers/hook-names.js';
import type { MatrixStorage, Mode } from '../matrix/storage.js';
import { linearHook } from '../model/linear-hooks.js';
import { LINEAR_NAMES, type LinearName } from '../model/weights.js';

/** How a measurement of products is followed and stopped. */
export interface ProductErrorOptions {
  signal?: AbortSignal;
  /** Layers done, of all. */
  onProgress?: (done: number, total: number) => void;
}

/** What a measurement of products needs of a model. */
export interface WithMatrices {
  readonly config: { readonly numHiddenLayers: number };
  run(input: string | Int32Array, options: { capture: readonly HookName[]; signal?: AbortSignal }): Promise<ModelRun>;
  storage(layer: number, name: LinearName): MatrixStorage;
}

/** How far a matrix's products in 'fast' are from its exact ones. */
export interface ProductError {
  readonly layer: number;
  readonly name: LinearName;
  /** Signal to quantisation noise ratio, 10·log10(Σ y² / Σ (y − ŷ)²) in dB; Infinity where there is no noise. */
  readonly sqnr: number;
}

/** The products of one text with every matrix of the layers. */
export class ProductErrors {
  constructor(readonly matrices: readonly ProductError[]) {}

  /** One row per matrix, in the order of a pass. */
  toTable(): ColumnTable {
    return table({
      layer: this.matrices.map(({ layer }) => layer),
      matrix: this.matrices.map(({ name }) => name),
      sqnr: this.matrices.map(({ sqnr }) => sqnr),
    });
  }
}

/** Positions multiplied at a time. */
const ROWS = 8;

/**
 * What rounding activations to int8 does to the products of each matrix: those of a text's activations, as they reach the
 * matrix in the model's own pass, multiplied in mode 'fast' and in mode 'exact'. Up to eight positions are multiplied at a
 * time, as in decoding. Matrices of floats have no noise. The text is run once for each layer: so no more activations than one
 * layer's are held.
 */
export async function productErrors(
  model: WithMatrices,
  input: string | Int32Array,
  options: ProductErrorOptions = {},
): Promise<ProductErrors> {
  checkOptionNames(options, ['signal', 'onProgress'], 'option of productErrors');
  const { signal, onProgress } = options;
  const breathe = breather(signal);
  const layers = model.config.numHiddenLayers;
  const found: ProductError[] = [];
  for (let layer = 0; layer < layers; layer++) {
    const capture = LINEAR_NAMES.map((name) => linearHook(layer, name, 'in'));
    const { activations } = await model.run(input, { capture, signal });
    for (const [i, name] of LINEAR_NAMES.entries()) {
      const weight = model.storage(layer, name);
      const x = activations.get(capture[i]).values;
      let [power, noise] = [0, 0];
      const step = ROWS * weight.inFeatures;
      for (let from = 0; from < x.length; from += step) {
        await breathe();
        const part = x.subarray(from, from + step);
        const exact = products(part, weight, 'exact');
        const fast = products(part, weight, 'fast');
        exact.forEach((y, n) => {
          power += y * y;
          noise += (y - fast[n]) ** 2;
        });
      }
      found.push({ layer, name, sqnr: 10 * Math.log10(power / noise) });
    }
    onProgress?.(layer + 1, layers);
  }
  return new ProductErrors(found);
}

function products(values: Float32Array, weight: MatrixStorage, mode: Mode): Float32Array {
  const x = { values, shape: [values.length / weight.inFeatures, weight.inFeatures] };
  const y =
    weight.kind === 'packed'
      ? matmulPacked.compute({ x }, { weight, bias: null, mode })
      : matmulDense.compute({ x }, { weight, bias: null });
  return (Array.isArray(y) ? y[0] : y).values;
}
