import { ContextFullError, DisposedError, OptionError, OutOfMemoryError } from '../base/errors.js';
import { breather } from '../base/event-loop.js';
import { copyRow, makePage, readRow, writeRow, type PagePlace, type PageSizes } from '../native/cache-pages.js';
import { PAGE_POSITIONS, type CachedPositions, type CachePage, type CacheType, type NativeSequence } from '../native/native.js';

/** Sizes that all caches of a model share. */
export interface CacheShape extends PageSizes {
  /** How keys and values are held; they are rounded when they are written. */
  readonly type: CacheType;
  readonly contextLength: number;
  /** ω_i [d_head / 2] of RoPE, to turn keys to new positions. */
  readonly frequencies: Float32Array;
}

/** A page of `PAGE_POSITIONS` positions, all layers; forks share it until one of them writes. */
interface Page {
  readonly values: CachePage; // [layer][key, value][kv_head][PAGE_POSITIONS][d_head]
  owners: number;
}

/**
 * Keys (after RoPE) and values of one sequence. Memory grows page by page; `fork` is copy-on-write. A pass calls
 * `reserve`, writes, and then `advance`: one that stops half-way leaves the cache as it was.
 */
export class KVCache {
  #pages: Page[] = [];
  #length = 0;
  #disposed = false;

  constructor(readonly shape: CacheShape) {}

  /** Positions held. */
  get length(): number {
    return this.#length;
  }

  /** Bytes of the pages, those shared with forks included. */
  get bytes(): number {
    return this.#pages.reduce((sum, page) => sum + page.values.byteLength, 0);
  }

  /**
   * Makes room for `count` more positions, in pages that no fork shares. Throws `ContextFullError` beyond the context and
   * `OutOfMemoryError` where there is no memory; the cache is then as it was.
   */
  reserve(count: number): void {
    this.#check();
    const end = this.#length + count;
    if (end > this.shape.contextLength) {
      throw new ContextFullError({
        thing: 'positions',
        found: end,
        expected: `at most ${this.shape.contextLength}, the context length`,
        where: `${this.#length} in the cache, ${count} to come`,
      });
    }
    this.#own(Math.floor(this.#length / PAGE_POSITIONS), Math.ceil(end / PAGE_POSITIONS));
  }

  /** Counts `count` positions, written since `reserve`, as held. */
  advance(count: number): void {
    this.#length += count;
  }

  /** Writes keys and values [pos, kv_head, d_head] of one layer after the positions held. */
  write(layer: number, keys: Float32Array, values: Float32Array): void {
    const { kvHeads, dHead } = this.shape;
    for (let row = 0; row * dHead < keys.length; row++) {
      const [position, kvHead] = [this.#length + Math.floor(row / kvHeads), row % kvHeads];
      const [from, to] = [row * dHead, (row + 1) * dHead];
      this.#write({ layer, kind: 0, kvHead, position }, keys.subarray(from, to));
      this.#write({ layer, kind: 1, kvHead, position }, values.subarray(from, to));
    }
  }

  /** What an attention kernel reads for one layer. */
  view(layer: number): CachedPositions {
    this.#check();
    return { pages: this.#pages.map((page) => page.values), length: this.#length, layer };
  }

  /** What the fused decoder reads and writes, after `reserve`. */
  native(): NativeSequence {
    this.#check();
    return { pages: this.#pages.map((page) => page.values), length: this.#length };
  }

  truncate(length: number): void {
    this.#check();
    if (!Number.isInteger(length) || length < 0 || length > this.#length) {
      throw new OptionError({ thing: 'length to truncate to', found: length, expected: `0 to ${this.#length}` });
    }
    this.#length = length;
    this.#release(Math.ceil(length / PAGE_POSITIONS));
  }

  /** Forgets everything. */
  reset(): void {
    this.truncate(0);
  }

  fork(): KVCache {
    this.#check();
    const copy = new KVCache(this.shape);
    copy.#pages = [...this.#pages];
    copy.#length = this.#length;
    for (const page of this.#pages) page.owners++;
    return copy;
  }

  /**
   * Drops positions [from, from + count) and moves later ones up; their keys are turned back by count·ω, so that they
   * stand at their new positions (values have no position). Each use rounds the keys once more, as the cache's type
   * does. The cache must be left alone until it is done.
   */
  async discard(from: number, count: number): Promise<void> {
    this.#check();
    if (![from, count].every((n) => Number.isInteger(n) && n >= 0) || from + count > this.#length) {
      throw new OptionError({ thing: 'positions to discard', found: [from, count], expected: `within ${this.#length}` });
    }
    const breathe = breather();
    const end = Math.ceil((this.#length - count) / PAGE_POSITIONS);
    for (let page = Math.floor(from / PAGE_POSITIONS); page < end; page++) {
      await breathe();
      this.#own(page, page + 1);
    }
    const { layers, kvHeads, frequencies } = this.shape;
    const cos = frequencies.map((frequency) => Math.cos(count * frequency));
    const sin = frequencies.map((frequency) => Math.sin(count * frequency));
    for (let layer = 0; layer < layers; layer++) {
      for (let kvHead = 0; kvHead < kvHeads; kvHead++) {
        for (let position = from; position + count < this.#length; position++) {
          if (position === from || position % PAGE_POSITIONS === 0) await breathe();
          const [key, value] = ([0, 1] as const).map((kind) => ({ layer, kind, kvHead, position }));
          this.#copy({ ...value, position: position + count }, value);
          this.#write(key, turnedBack(this.#read({ ...key, position: position + count }), cos, sin));
        }
      }
    }
    this.truncate(this.#length - count);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#release(0);
    this.#disposed = true;
  }

  #write(row: Row, x: Float32Array): void {
    writeRow(this.#pageOf(row), this.shape, placeOf(row), x);
  }

  #read(row: Row): Float32Array {
    return readRow(this.#pageOf(row), this.shape, placeOf(row));
  }

  #copy(from: Row, to: Row): void {
    copyRow(this.shape, this.#pageOf(from), placeOf(from), this.#pageOf(to), placeOf(to));
  }

  #pageOf({ position }: Row): CachePage {
    return this.#pages[Math.floor(position / PAGE_POSITIONS)].values;
  }

  /** Makes pages [first, end) exist and belong to this cache alone. */
  #own(first: number, end: number): void {
    for (let index = first; index < end; index++) {
      const page = this.#pages[index];
      if (page?.owners === 1) continue;
      const values = this.#newPage(page);
      if (page) page.owners--;
      this.#pages[index] = { values, owners: 1 };
    }
  }

  /** A copy of a page, or an empty one. */
  #newPage(page?: Page): CachePage {
    try {
      return page?.values.slice() ?? makePage(this.shape.type, this.shape);
    } catch (cause) {
      this.#release(Math.ceil(this.#length / PAGE_POSITIONS));
      if (!(cause instanceof RangeError)) throw cause;
      const { layers, kvHeads, dHead, type } = this.shape;
      throw new OutOfMemoryError({
        thing: 'memory for a page of the KV cache',
        found: cause.message,
        expected: `room for ${PAGE_POSITIONS} positions of ${layers} layers, ${kvHeads} heads and d_head ${dHead} in ${type}`,
        where: `after ${this.#length} positions`,
        cause,
      });
    }
  }

  #release(from: number): void {
    for (const page of this.#pages.splice(from)) page.owners--;
  }

  #check(): void {
    if (this.#disposed) throw new DisposedError({ thing: 'KV cache', found: 'disposed', expected: 'in use' });
  }
}

/** A key (kind 0) or value (kind 1) of the sequence. */
interface Row extends Omit<PagePlace, 'slot'> {
  readonly position: number;
}

const placeOf = ({ position, ...row }: Row): PagePlace => ({ ...row, slot: position % PAGE_POSITIONS });

/** A row with each pair (i, i + half) turned by −angle_i. */
function turnedBack(row: Float32Array, cos: Float32Array, sin: Float32Array): Float32Array {
  const half = row.length / 2;
  const turned = new Float32Array(row.length);
  for (let i = 0; i < half; i++) {
    const [a, b] = [row[i], row[half + i]];
    turned[i] = a * cos[i] + b * sin[i];
    turned[half + i] = b * cos[i] - a * sin[i];
  }
  return turned;
}
