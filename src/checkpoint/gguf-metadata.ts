import { CheckpointError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import { VALUE_TYPE, type CutValue } from './gguf-layout.js';
import { describe } from './json.js';

const ELEMENTS_PER_BREATH = 2 ** 12;

/** The metadata of a GGUF file. */
export class GgufMetadata {
  /** The file. */
  readonly where: string;
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #cut: ReadonlyMap<string, CutValue>;

  /** `cut` holds arrays and long texts, as they were cut out of the header; in `values` they are empty. */
  constructor(values: ReadonlyMap<string, unknown>, cut: ReadonlyMap<string, CutValue>, where: string) {
    this.where = where;
    this.#values = values;
    this.#cut = cut;
  }

  /**
   * A value that is no array: text, number, or true and false; undefined where it is absent or −1 as 32 bits without a
   * sign, which files have for a token that there is none of. Whole numbers beyond 2^53 stay bigint.
   */
  get(key: string): unknown {
    const value = this.#values.get(key);
    if (value === 2 ** 32 - 1) return undefined;
    const isExact = typeof value === 'bigint' && value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER;
    return isExact ? Number(value) : value;
  }

  /** A text of any length, or null where there is none. */
  text(key: string): string | null {
    const cut = this.#cut.get(key);
    const value = cut?.type === VALUE_TYPE.text ? this.#decoded(key, cut.bytes) : this.get(key);
    if (value === undefined) return null;
    return typeof value === 'string' ? value : this.fail(key, value, 'a text');
  }

  /** Elements of an array, or 0 where there is none. */
  length(key: string): number {
    const cut = this.#cut.get(key);
    return cut?.type === VALUE_TYPE.array ? cut.count : 0;
  }

  /** An array of texts, or null where there is none. */
  async texts(key: string, breathe: Breathe): Promise<string[] | null> {
    const array = this.#array(key, (type) => type === VALUE_TYPE.text, 'an array of texts');
    if (!array) return null;
    const { bytes, count } = array;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const texts: string[] = [];
    for (let at = 0; texts.length < count;) {
      if (texts.length % ELEMENTS_PER_BREATH === 0) await breathe();
      // the header was measured: no text has 2^32 bytes
      const end = at + 8 + view.getUint32(at, true);
      texts.push(this.#decoded(key, bytes.subarray(at + 8, end)));
      at = end;
    }
    return texts;
  }

  /** An array of numbers, or null where there is none. */
  async numbers(key: string, breathe: Breathe): Promise<Float64Array | null> {
    const array = this.#array(key, (type) => type in NUMBERS, 'an array of numbers');
    if (!array) return null;
    const { bytes, count, subType } = array;
    const [size, read] = NUMBERS[subType];
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const numbers = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      if (i % ELEMENTS_PER_BREATH === 0) await breathe();
      numbers[i] = read(view, i * size);
    }
    return numbers;
  }

  fail(key: string, found: unknown, expected: string): never {
    throw new CheckpointError({ thing: key.slice(0, 200), found: describe(found), expected, where: this.where });
  }

  #array(key: string, fits: (subType: number) => boolean, expected: string): CutValue | null {
    const cut = this.#cut.get(key);
    if (cut?.type === VALUE_TYPE.array) return fits(cut.subType) ? cut : this.fail(key, 'an array of others', expected);
    const value = this.#values.get(key);
    return value === undefined ? null : this.fail(key, value, expected);
  }

  #decoded(key: string, bytes: Uint8Array): string {
    try {
      return decoder.decode(bytes);
    } catch {
      return this.fail(key, 'bytes that are not UTF-8', 'UTF-8 text');
    }
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes of a number of each type, and how it is read. */
const NUMBERS: Readonly<Record<number, readonly [size: number, read: (view: DataView, at: number) => number]>> = {
  0: [1, (view, at) => view.getUint8(at)],
  1: [1, (view, at) => view.getInt8(at)],
  2: [2, (view, at) => view.getUint16(at, true)],
  3: [2, (view, at) => view.getInt16(at, true)],
  4: [4, (view, at) => view.getUint32(at, true)],
  5: [4, (view, at) => view.getInt32(at, true)],
  6: [4, (view, at) => view.getFloat32(at, true)],
  12: [8, (view, at) => view.getFloat64(at, true)],
};
