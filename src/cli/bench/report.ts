import { availableParallelism, cpus, totalmem } from 'node:os';
import type { RunRecord } from '../../model/run-record.js';
import { native } from '../../native/native.js';
import { rateOf, type Rates, type Spread } from './rounds.js';

/** One thing measured: the middle and the ends of all rounds. */
export interface Measurement extends Spread {
  readonly work: string;
  /** What did it: "fast", "exact, 1 thread", "node-llama-cpp". */
  readonly engine: string;
  readonly unit: string;
}

/** All measurements of one run, as they are written. */
export interface BenchReport {
  readonly date: string;
  readonly quick: boolean;
  readonly machine: {
    readonly processor: string;
    readonly cores: number;
    readonly memory: number;
    readonly platform: string;
    readonly threads: number;
  };
  readonly record: RunRecord | null;
  readonly measurements: readonly Measurement[];
}

export function benchReport(
  measurements: readonly Measurement[],
  { record, quick, date = new Date() }: { record: RunRecord | null; quick: boolean; date?: Date },
): BenchReport {
  return {
    date: date.toISOString(),
    quick,
    machine: {
      processor: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      memory: totalmem(),
      platform: `${process.platform} ${process.arch}`,
      threads: native()?.info().threads ?? 1,
    },
    record,
    measurements: measurements.map((one) => ({ ...one, median: short(one.median), low: short(one.low), high: short(one.high) })),
  };
}

/** Four digits: more would be noise. */
export const short = (value: number): number => Number(value.toPrecision(4));

/** The rates of one contender as a measurement. */
export const measured = (work: string, engine: string, rates: Rates, name: string, unit: string = 'tok/s'): Measurement => ({
  work,
  engine,
  unit,
  ...rateOf(rates, name),
});

/** One number without rounds. */
export const single = (work: string, engine: string, value: number, unit: string): Measurement => ({
  work,
  engine,
  unit,
  median: value,
  low: value,
  high: value,
});

/** Rows for a table in words. */
export const tableRows = (measurements: readonly Measurement[]): Record<string, unknown>[] =>
  measurements.map(({ work, engine, median, low, high, unit }) => ({
    work,
    by: engine,
    median: String(short(median)),
    unit,
    'least to most': low === high ? '' : `${short(low)} to ${short(high)}`,
  }));
