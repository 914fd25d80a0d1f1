import { ContextFullError, DisposedError, OptionError } from '../base/errors.js';
import { breather } from '../base/event-loop.js';
import { PAGE_POSITIONS, type CachedPositions, type NativeSequence } from '../native/native.js';

/** Sizes that all caches of a model share. */
export interface CacheShape {
  readonly layers: number;
  readonly kvHeads: number;
  readonly dHead: number;
  readonly contextLength: number;
  /** ω_i [d_head / 2] of RoPE, to turn keys to new positions. */
  readonly frequencies: Float32Array;
}

/** A page of `PAGE_POSITIONS` positions, all layers; forks share it until one of them writes. */
interface Page {
  readonly values: Float32Array; // [layer][key, value][kv_head][PAGE_POSITIONS][d_head]
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

  /** Makes room for `count` more positions, in pages that no fork shares. Throws `ContextFullError` beyond the context. */
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
    const rowLength = kvHeads * dHead;
    for (let pos = 0; pos * rowLength < keys.length; pos++) {
      for (let head = 0; head < kvHeads; head++) {
        const from = pos * rowLength + head * dHead;
        this.#rows(layer, 0, head, this.#length + pos, 1).set(keys.subarray(from, from + dHead));
        this.#rows(layer, 1, head, this.#length + pos, 1).set(values.subarray(from, from + dHead));
      }
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
   * stand at their new positions (values have no position). Each use rounds the keys once more. The cache must be left
   * alone until it is done.
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
    const { layers, kvHeads, dHead, frequencies } = this.shape;
    const cos = frequencies.map((frequency) => Math.cos(count * frequency));
    const sin = frequencies.map((frequency) => Math.sin(count * frequency));
    for (let layer = 0; layer < layers; layer++) {
      for (let head = 0; head < kvHeads; head++) {
        await breathe();
        for (let position = from; position + count < this.#length;) {
          const rows = this.#moveUp(layer, 0, head, position, count);
          this.#moveUp(layer, 1, head, position, count);
          turnBack(this.#rows(layer, 0, head, position, rows), dHead, cos, sin);
          position += rows;
        }
      }
    }
    this.truncate(this.#length - count);
  }

  /** Copies as many rows as lie in one piece from `position + count` to `position`; returns how many. */
  #moveUp(layer: number, kind: 0 | 1, head: number, position: number, count: number): number {
    const rows = Math.min(
      PAGE_POSITIONS - (position % PAGE_POSITIONS),
      PAGE_POSITIONS - ((position + count) % PAGE_POSITIONS),
      this.#length - count - position,
    );
    this.#rows(layer, kind, head, position, rows).set(this.#rows(layer, kind, head, position + count, rows));
    return rows;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#release(0);
    this.#disposed = true;
  }

  /** Keys (0) or values (1) of one head at `count` positions of one page: [count, d_head]. */
  #rows(layer: number, kind: 0 | 1, head: number, position: number, count: number): Float32Array {
    const { kvHeads, dHead } = this.shape;
    const { values } = this.#pages[Math.floor(position / PAGE_POSITIONS)];
    const start = (((layer * 2 + kind) * kvHeads + head) * PAGE_POSITIONS + (position % PAGE_POSITIONS)) * dHead;
    return values.subarray(start, start + count * dHead);
  }

  /** Makes pages [first, end) exist and belong to this cache alone. */
  #own(first: number, end: number): void {
    const { layers, kvHeads, dHead } = this.shape;
    for (let index = first; index < end; index++) {
      const page = this.#pages[index];
      if (page?.owners === 1) continue;
      const values = page?.values.slice() ?? new Float32Array(layers * 2 * kvHeads * PAGE_POSITIONS * dHead);
      if (page) page.owners--;
      this.#pages[index] = { values, owners: 1 };
    }
  }

  #release(from: number): void {
    for (const page of this.#pages.splice(from)) page.owners--;
  }

  #check(): void {
    if (this.#disposed) throw new DisposedError({ thing: 'KV cache', found: 'disposed', expected: 'in use' });
  }
}

/** Turns each pair (i, i + half) of each row by −angle_i. */
function turnBack(rows: Float32Array, dHead: number, cos: Float32Array, sin: Float32Array): void {
  const half = dHead / 2;
  for (let row = 0; row < rows.length; row += dHead) {
    for (let i = 0; i < half; i++) {
      const a = rows[row + i];
      const b = rows[row + half + i];
      rows[row + i] = a * cos[i] + b * sin[i];
      rows[row + half + i] = b * cos[i] - a * sin[i];
    }
  }
}
