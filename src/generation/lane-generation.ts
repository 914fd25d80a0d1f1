import type { Lane } from './lane.js';
import type { LaneGroup } from './lane-group.js';
import type { Generation, GenerationResult, GenerationStep } from './result.js';

/** One lane of a group, as its reader sees it. */
export class LaneGeneration implements Generation {
  readonly #group: LaneGroup;
  readonly #lane: Lane;
  #whole: Promise<GenerationResult> | null = null;

  constructor(group: LaneGroup, lane: Lane) {
    this.#group = group;
    this.#lane = lane;
  }

  then<A = GenerationResult, B = never>(
    onFulfilled?: ((result: GenerationResult) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#whole ??= this.#finish();
    return this.#whole.then(onFulfilled, onRejected);
  }

  [Symbol.asyncIterator](): AsyncIterator<GenerationStep> {
    let index = 0;
    return {
      next: async () => {
        const step = await this.#step(index);
        if (step === null) return { done: true, value: undefined };
        index++;
        return { done: false, value: step };
      },
      return: async () => {
        if (!this.#lane.done) await this.#group.cancel(this.#lane);
        return { done: true, value: undefined };
      },
    };
  }

  /** Step `index`, or null at the end; throws, after the last step, what made the lane fail. */
  async #step(index: number): Promise<GenerationStep | null> {
    while (index >= this.#lane.steps.length && !this.#lane.done) await this.#group.advance();
    return this.#lane.steps[index] ?? this.#lane.result.steps[index] ?? null;
  }

  async #finish(): Promise<GenerationResult> {
    while (!this.#lane.done) await this.#group.advance();
    return this.#lane.result;
  }
}
