import { table, type ColumnTable } from 'arquero';
import { nearest, UnknownNameError } from '../base/errors.js';
import { writeSafetensors } from '../checkpoint/safetensors.js';
import type { HookName } from '../layers/hook-names.js';

/** The values at one named point; a copy, free to change. */
export interface Activation {
  readonly name: HookName;
  /** Such as [batch, pos, d_model]; `src/layers/hook-names.ts` and the docs list them all. */
  readonly shape: readonly number[];
  /** Row-major. */
  readonly values: Float32Array;
}

/** The captured points of a run, in the order in which the pass reached them. */
export class ActivationCache implements Iterable<Activation> {
  readonly #activations: ReadonlyMap<HookName, Activation>;

  constructor(activations: Iterable<Activation>) {
    this.#activations = new Map(Array.from(activations, (activation) => [activation.name, activation]));
  }

  get names(): HookName[] {
    return [...this.#activations.keys()];
  }

  /** Bytes held. */
  get bytes(): number {
    return [...this].reduce((sum, { values }) => sum + values.byteLength, 0);
  }

  has(name: HookName): boolean {
    return this.#activations.has(name);
  }

  /** Throws `UnknownNameError` with the nearest names for a point that was not captured. */
  get(name: HookName): Activation {
    const activation = this.#activations.get(name);
    if (activation) return activation;
    throw new UnknownNameError({
      thing: 'captured point',
      found: name,
      expected: this.names.length ? `such as ${nearest(name, this.names).join(', ')}` : 'none was captured',
    });
  }

  [Symbol.iterator](): Iterator<Activation> {
    return this.#activations.values();
  }

  /** One row per point: name, shape, mean, standard deviation, rms, min, max. Masked scores (−∞) are left out. */
  toTable(): ColumnTable {
    const rows = [...this].map(({ name, shape, values }) => ({ name, shape: shape.join(' × '), ...summary(values) }));
    const column = <Key extends keyof (typeof rows)[number]>(key: Key) => rows.map((row) => row[key]);
    return table({
      name: column('name'),
      shape: column('shape'),
      mean: column('mean'),
      std: column('std'),
      rms: column('rms'),
      min: column('min'),
      max: column('max'),
    });
  }

  /** Writes all points to a safetensors file, named as they are. */
  async save(path: string): Promise<void> {
    const tensors = [...this].map(({ name, shape, values }) => ({ name, dtype: 'F32' as const, shape, data: values }));
    await writeSafetensors(path, tensors, { format: 'nibblelens activations' });
  }
}

function summary(values: Float32Array): { mean: number; std: number; rms: number; min: number; max: number } {
  let [count, sum, squares, min, max] = [0, 0, 0, Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    count++;
    sum += value;
    squares += value * value;
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  const mean = sum / count;
  return { mean, std: Math.sqrt(Math.max(squares / count - mean * mean, 0)), rms: Math.sqrt(squares / count), min, max };
}
