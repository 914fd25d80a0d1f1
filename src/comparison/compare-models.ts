import { table, type ColumnTable } from 'arquero';
import { ShapeError } from '../base/errors.js';
import { breather, type Breathe } from '../base/event-loop.js';
import { checkOptionNames } from '../base/options.js';
import { klDivergence, topIds } from '../lens/distributions.js';
import type { ModelRun } from '../lens/model-run.js';
import type { HookSelector } from '../lens/run-options.js';
import type { HookName } from '../layers/hook-names.js';
import { differenceOf } from './difference.js';

/** What a comparison looks at, and how it is followed and stopped. */
export interface CompareOptions {
  /** Points to compare. Default: all. */
  capture?: HookSelector;
  signal?: AbortSignal;
  /** Positions done, of all: those of the reference model's pass, then those of the other's. */
  onProgress?: (done: number, total: number) => void;
}

/** What a comparison needs of a model. */
export interface Runnable {
  run(input: string | Int32Array, options?: CompareOptions): Promise<ModelRun>;
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
 * @throws ShapeError where the models have not the same points, of the same sizes.
 */
export async function compareModels(
  reference: Runnable,
  other: Runnable,
  input: string | Int32Array,
  options: CompareOptions = {},
): Promise<ModelComparison> {
  checkOptionNames(options, ['capture', 'signal', 'onProgress'], 'option of compareModels');
  const { capture = 'all', signal, onProgress } = options;
  const a = await reference.run(input, { capture, signal, onProgress: (done, pos) => onProgress?.(done, 2 * pos) });
  // names were checked by the first run: those that the second model lacks are a difference of shape
  const same =
    capture === 'all' || typeof capture === 'function' ? capture : (name: HookName) => a.activations.has(name);
  const b = await other.run(a.ids[0], {
    capture: same,
    signal,
    onProgress: (done, pos) => onProgress?.(pos + done, 2 * pos),
  });
  checkShapes(a, b);
  const breathe = breather(signal);
  return new ModelComparison(await comparePoints(a, b, breathe), await comparePositions(a, b, breathe), a, b);
}

function checkShapes(a: ModelRun, b: ModelRun): void {
  if (a.logits.length !== b.logits.length) {
    throw new ShapeError({ thing: 'logits of the other model', found: b.logits.length, expected: a.logits.length });
  }
  const [found, expected] = [b.activations.names, a.activations.names];
  const where = expected.find((name) => !b.activations.has(name)) ?? found.find((name) => !a.activations.has(name));
  if (where === undefined) return;
  throw new ShapeError({
    thing: 'named points of the other model',
    found: found.length,
    expected: expected.length,
    where,
  });
}

async function comparePoints(a: ModelRun, b: ModelRun, breathe: Breathe): Promise<PointDifference[]> {
  const points: PointDifference[] = [];
  for (const { name, values } of a.activations) {
    await breathe();
    const [, layer, point] = /^blocks\.(\d+)\.(.*)$/.exec(name) ?? [];
    points.push({
      name,
      layer: layer === undefined ? null : Number(layer),
      point: point ?? name,
      ...differenceOf(values, b.activations.get(name).values, name),
    });
  }
  return points;
}

async function comparePositions(a: ModelRun, b: ModelRun, breathe: Breathe): Promise<PositionDifference[]> {
  const positions: PositionDifference[] = [];
  for (const [position, token] of a.tokens().entries()) {
    await breathe();
    const [logA, logB] = [a.logProbabilities(position), b.logProbabilities(position)];
    const [topA] = topIds(logA, 1);
    const [topB] = topIds(logB, 1);
    positions.push({
      position,
      token,
      kl: klDivergence(logA, logB),
      referenceTop: a.label(topA),
      otherTop: b.label(topB),
      changed: topA !== topB,
    });
  }
  return positions;
}
