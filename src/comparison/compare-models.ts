import { table, type ColumnTable } from 'arquero';
import { ShapeError } from '../base/errors.js';
import { klDivergence, topIds } from '../lens/distributions.js';
import type { ModelRun } from '../lens/model-run.js';
import type { HookSelector } from '../lens/run-options.js';
import type { HookName } from '../layers/hook-names.js';
import { differenceOf } from './difference.js';

/** What a comparison needs of a model. */
export interface Runnable {
  run(input: string | Int32Array, options?: { capture?: HookSelector; signal?: AbortSignal }): Promise<ModelRun>;
}

/** How far the values at one named point are from the reference model's. */
export interface PointDifference {
  readonly name: HookName;
  /** Decoder layer, or null for points outside them. */
  readonly layer: number | null;
  /** Name without the layer. */
  readonly point: string;
  /** ‖other − reference‖ / ‖reference‖ */
  readonly relativeError: number;
  /** Cosine of the angle between both, as one long vector. */
  readonly cosine: number;
}

/** How the prediction after one position differs. */
export interface PositionDifference {
  readonly position: number;
  readonly token: string;
  /** KL(reference ‖ other) of the next token, in nats. */
  readonly kl: number;
  readonly referenceTop: string;
  readonly otherTop: string;
  /** Whether the likeliest next token changed. */
  readonly changed: boolean;
}

/** One text through two models. */
export class ModelComparison {
  constructor(
    readonly points: readonly PointDifference[],
    readonly positions: readonly PositionDifference[],
    readonly reference: ModelRun,
    readonly other: ModelRun,
  ) {}

  /** Mean KL(reference ‖ other) over positions, in nats per token. */
  get meanKl(): number {
    return this.positions.reduce((sum, { kl }) => sum + kl, 0) / this.positions.length;
  }

  /** Share of positions at which both find the same token likeliest. */
  get topAgreement(): number {
    return this.positions.filter(({ changed }) => !changed).length / this.positions.length;
  }

  /** One row per named point, in the order of a pass. */
  pointsTable(): ColumnTable {
    return table({
      name: this.points.map((row) => row.name),
      layer: this.points.map((row) => row.layer),
      point: this.points.map((row) => row.point),
      relativeError: this.points.map((row) => row.relativeError),
      cosine: this.points.map((row) => row.cosine),
    });
  }

  /** One row per position of the text. */
  positionsTable(): ColumnTable {
    return table({
      position: this.positions.map((row) => row.position),
      token: this.positions.map((row) => row.token),
      kl: this.positions.map((row) => row.kl),
      referenceTop: this.positions.map((row) => row.referenceTop),
      otherTop: this.positions.map((row) => row.otherTop),
      changed: this.positions.map((row) => row.changed),
    });
  }
}

/**
 * Runs one text through a reference model and another of the same shape and vocabulary (its INT4 twin, say) and
 * compares every captured point, and the predictions at every position.
 */
export async function compareModels(
  reference: Runnable,
  other: Runnable,
  input: string | Int32Array,
  { capture = 'all', signal }: { capture?: HookSelector; signal?: AbortSignal } = {},
): Promise<ModelComparison> {
  const a = await reference.run(input, { capture, signal });
  const b = await other.run(a.ids[0], { capture, signal });
  if (a.logits.length !== b.logits.length) {
    throw new ShapeError({ thing: 'logits of the other model', found: b.logits.length, expected: a.logits.length });
  }
  const points = [...a.activations].map(({ name, values }): PointDifference => {
    const [, layer, point] = /^blocks\.(\d+)\.(.*)$/.exec(name) ?? [];
    return {
      name,
      layer: layer === undefined ? null : Number(layer),
      point: point ?? name,
      ...differenceOf(values, b.activations.get(name).values, name),
    };
  });
  return new ModelComparison(points, comparePositions(a, b), a, b);
}

function comparePositions(a: ModelRun, b: ModelRun): PositionDifference[] {
  const labels = a.tokens();
  return labels.map((token, position) => {
    const [logA, logB] = [a.logProbabilities(position), b.logProbabilities(position)];
    const [topA] = topIds(logA, 1);
    const [topB] = topIds(logB, 1);
    return {
      position,
      token,
      kl: klDivergence(logA, logB),
      referenceTop: a.label(topA),
      otherTop: b.label(topB),
      changed: topA !== topB,
    };
  });
}
