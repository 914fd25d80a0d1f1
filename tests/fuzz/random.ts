import { randomNumbers } from '../support/random-model.js';

/** Draws for one case, all from one seed. */
export class Draws {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = randomNumbers(seed);
  }

  /** A whole number from 0 to below `bound`, which is at least 1. */
  below(bound: number): number {
    return Math.floor(this.#next() * bound);
  }

  /** True once in `many` times. */
  once(many: number): boolean {
    return this.below(many) === 0;
  }

  pick<T>(options: readonly T[]): T {
    return options[this.below(options.length)];
  }
}

/** A seed for one case of a run: neighbouring numbers give unrelated draws. */
export const caseSeed = (seed: number, index: number): number =>
  (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0;
