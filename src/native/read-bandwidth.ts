import { NibbleLensError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import { native, nativeAbsence, type NativeAddon } from './native.js';
import { weightMemory } from './weight-memory.js';

/** Bytes read in one go: far more than caches hold. */
const BYTES = 2 ** 28;
/** Parts that threads take in turn; large, so that each is read as a long stream. */
const BLOCKS = 64;
const BLOCK_WORDS = BYTES / BLOCKS / 4;

/**
 * Measures how fast the native kernels' threads can read memory, in large pages as weights have them: the bound of all work
 * that reads its weights once.
 */
export class ReadBandwidth {
  readonly #addon: NativeAddon;
  readonly #words: Int32Array;
  readonly #sums = new Int32Array(BLOCKS);

  private constructor(addon: NativeAddon, words: Int32Array) {
    this.#addon = addon;
    this.#words = words;
  }

  /** Takes 256 MB and touches all of it. @throws NibbleLensError without the native addon. */
  static async open(breathe: Breathe): Promise<ReadBandwidth> {
    const addon = native();
    if (!addon) throw new NibbleLensError({ thing: 'native addon', found: nativeAbsence(), expected: 'loaded' });
    const { buffer, start } = weightMemory(BYTES);
    const words = new Int32Array(buffer, start, BYTES / 4);
    for (let block = 0; block < BLOCKS; block++) {
      await breathe();
      words.fill(block + 1, block * BLOCK_WORDS, (block + 1) * BLOCK_WORDS);
    }
    return new ReadBandwidth(addon, words);
  }

  /** Reads all of it once: bytes a second. */
  measure(): number {
    const started = performance.now();
    this.#addon.sumBlocks(this.#words, BLOCK_WORDS, this.#sums);
    return (BYTES * 1000) / (performance.now() - started);
  }
}
