import { breather } from '../base/event-loop.js';
import type { DecodeItem, TokenDecoder } from './decoder.js';
import type { Lane } from './lane.js';

/**
 * Lanes that advance together, by one call of the decoder for all of them. A lane that ends leaves; the others go on.
 * The call in flight is aborted once no lane wants it any more.
 */
export class LaneGroup {
  readonly #decoder: TokenDecoder;
  readonly #lanes: readonly Lane[];
  /** Whether all lanes begin with the same prompt, which is then run once. */
  readonly #sharesPrompt: boolean;
  readonly #abort = new AbortController();
  readonly #breathe = breather();
  #started = false;
  #round: Promise<void> | null = null;

  constructor(decoder: TokenDecoder, lanes: readonly Lane[], sharesPrompt: boolean) {
    this.#decoder = decoder;
    this.#lanes = lanes;
    this.#sharesPrompt = sharesPrompt;
  }

  /**
   * Makes the next step of every lane, or joins the round that is doing so. Several lanes, once begun, go on to their
   * ends by themselves, so that none keeps its sequence because nobody reads it.
   */
  advance(): Promise<void> {
    const goesOn = !this.#started && this.#lanes.length > 1;
    this.#round ??= this.#makeRound().finally(() => {
      this.#round = null;
    });
    if (goesOn) void this.#finishAll();
    return this.#round;
  }

  /** Ends one lane, after the round in flight if there is one. */
  async cancel(lane: Lane): Promise<void> {
    lane.cancelled = true;
    this.#abortIfUnwanted();
    await this.#round;
    lane.finish('cancelled');
  }

  async #finishAll(): Promise<void> {
    while (this.#lanes.some((lane) => !lane.done)) await this.advance();
  }

  async #makeRound(): Promise<void> {
    const since = performance.now();
    const isFirst = !this.#started;
    if (isFirst) this.#start(since);
    const lanes = this.#lanes.filter((lane) => {
      if (lane.wantsToStop) lane.finish('cancelled');
      return !lane.done;
    });
    try {
      if (lanes.length > 0) await (isFirst ? this.#prefill(lanes, since) : this.#decode(lanes, since));
    } catch (error) {
      const isStopped = this.#abort.signal.aborted && error === this.#abort.signal.reason;
      for (const lane of lanes) {
        if (isStopped) lane.finish('cancelled');
        else lane.fail(error);
      }
    }
    if (this.#lanes.every((lane) => lane.done)) this.#stopListening();
    await this.#breathe();
  }

  async #prefill(lanes: readonly Lane[], since: number): Promise<void> {
    const owners = this.#sharesPrompt ? lanes.slice(0, 1) : lanes;
    for (const lane of owners) lane.begin(this.#decoder.createSequence());
    const listeners = new Set(lanes.map(({ options }) => options.onProgress).filter((listener) => listener !== null));
    const logits = await this.#decoder.decode(
      owners.map(({ sequence, runIds }) => ({ sequence, ids: runIds })),
      {
        signal: this.#abort.signal,
        onProgress: (done, total) => {
          for (const listener of listeners) listener(done, total);
        },
      },
    );
    const ms = performance.now() - since;
    for (const lane of lanes.slice(owners.length)) lane.begin((lanes[0] as Lane).sequence.fork());
    for (const [i, lane] of lanes.entries()) {
      lane.prefilled(ms);
      await this.#take(lane, logits[this.#sharesPrompt ? 0 : i] as Float32Array, since);
    }
  }

  async #decode(lanes: readonly Lane[], since: number): Promise<void> {
    const items: (DecodeItem & { readonly lane: Lane })[] = [];
    for (const lane of lanes) {
      await attempt(lane, async () => items.push({ lane, ids: await lane.nextIds(), sequence: lane.sequence }));
    }
    if (items.length === 0) return;
    const logits = await this.#decoder.decode(items, { signal: this.#abort.signal });
    for (const [i, { lane }] of items.entries()) await this.#take(lane, logits[i] as Float32Array, since);
  }

  async #take(lane: Lane, logits: Float32Array, since: number): Promise<void> {
    await this.#breathe();
    if (lane.wantsToStop) lane.finish('cancelled');
    else await attempt(lane, () => lane.accept(logits, since));
  }

  #start(now: number): void {
    this.#started = true;
    for (const lane of this.#lanes) {
      lane.start(now);
      lane.options.signal?.addEventListener('abort', this.#abortIfUnwanted);
    }
  }

  #stopListening(): void {
    for (const { options } of this.#lanes) options.signal?.removeEventListener('abort', this.#abortIfUnwanted);
  }

  readonly #abortIfUnwanted = (): void => {
    if (this.#lanes.every((lane) => lane.done || lane.wantsToStop)) this.#abort.abort();
  };
}

/** What fails in one lane ends that lane alone. */
async function attempt(lane: Lane, work: () => unknown): Promise<void> {
  try {
    await work();
  } catch (error) {
    lane.fail(error);
  }
}
