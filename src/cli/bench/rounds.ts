import { nextTurn } from '../../base/event-loop.js';

/** Something whose rate is measured against that of others. */
export interface Contender {
  readonly name: string;
  /** Works for some tenths of a second; units of work a second. */
  burst(): Promise<number>;
}

/** Rates of each contender, one a round. */
export type Rates = ReadonlyMap<string, readonly number[]>;

/** Milliseconds of rest before each burst, in which threads of the one before go to sleep. */
const REST_MS = 20;

export interface RoundOptions {
  readonly rounds: number;
  readonly signal?: AbortSignal;
  /** Hears of every burst done, of all. */
  readonly onBurst?: (done: number, total: number) => void;
}

/**
 * Lets contenders work in turn, round after round, so that what disturbs the machine for a while disturbs all of them.
 * Every other round goes backwards, as the one that comes after another may find caches and clock as that left them. A
 * round before the first is not counted.
 */
export async function inRounds(contenders: readonly Contender[], { rounds, signal, onBurst }: RoundOptions): Promise<Rates> {
  const rates = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  const total = (rounds + 1) * contenders.length;
  let done = 0;
  for (let round = 0; round <= rounds; round++) {
    for (const { name, burst } of round % 2 === 0 ? contenders : contenders.toReversed()) {
      signal?.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve, REST_MS));
      const rate = await burst();
      if (round > 0) rates.get(name)?.push(rate);
      onBurst?.(++done, total);
      await nextTurn();
    }
  }
  return rates;
}

/** The middle of some numbers, and their ends. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export function spread(values: readonly number[]): Spread {
  const ascending = values.toSorted((a, b) => a - b);
  const middle = (ascending.length - 1) / 2;
  const median = (ascending[Math.floor(middle)] + ascending[Math.ceil(middle)]) / 2;
  return { median, low: ascending[0], high: ascending[ascending.length - 1] };
}

/** The rates of one contender. */
export const rateOf = (rates: Rates, name: string): Spread => spread(rates.get(name) ?? []);

/** Other units of the same. */
export const scaled = ({ median, low, high }: Spread, factor: number): Spread => ({
  median: factor * median,
  low: factor * low,
  high: factor * high,
});

/** The rate of one over that of another, round by round. */
export function ratios(rates: Rates, one: string, other: string): Spread {
  const [above, below] = [rates.get(one) ?? [], rates.get(other) ?? []];
  return spread(above.map((rate, round) => rate / below[round]));
}
