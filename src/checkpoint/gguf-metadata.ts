import { isUtf8 } from 'node:buffer';
import { CheckpointError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import { VALUE_TYPE, type CutValue } from './gguf-layout.js';
import { describe } from './json.js';

const TEXTS_PER_BREATH = 2 ** 12;
const NUMBERS_PER_BREATH = 2 ** 20;

/** Texts by their place from 0, beyond the last of which there are none. */
export interface TextList {
  readonly length: number;
  at(i: number): string | undefined;
}

/** The metadata of a GGUF file. */
export class GgufMetadata {
  /** The file. */
  readonly where: string;
  readonly #values: ReadonlyMap<string, CutValue>;

  constructor(values: ReadonlyMap<string, CutValue>, where: string) {
    this.where = where;
    this.#values = values;
  }

  /**
   * A value that is no array (for which stands an empty one): text, number, or true and false; undefined where it is
   * absent or −1 as 32 bits without a sign, which files have for a token that there is none of. Whole numbers beyond
   * 2^53 stay bigint.
   */
  get(key: string): unknown {
    const value = this.#values.get(key);
    if (!value) return undefined;
    const { type, bytes } = value;
    if (type === VALUE_TYPE.array) return [];
    if (type === VALUE_TYPE.text) return this.#decoded(key, bufferOf(value));
    if (type === VALUE_TYPE.flag) return bytes[0] !== 0;
    const [number] = elementsOf(SCALARS[type], value);
    if (number === 2 ** 32 - 1) return undefined;
    const isExact = typeof number === 'bigint' && number >= Number.MIN_SAFE_INTEGER && number <= Number.MAX_SAFE_INTEGER;
    return isExact ? Number(number) : number;
  }

  /** A text of any length, or null where there is none. */
  text(key: string): string | null {
    const value = this.get(key);
    if (value === undefined) return null;
    return typeof value === 'string' ? value : this.fail(key, value, 'a text');
  }

  /** Elements of an array, or 0 where there is none. */
  length(key: string): number {
    const value = this.#values.get(key);
    return value?.type === VALUE_TYPE.array ? value.count : 0;
  }

  /** An array of texts, or null where there is none. */
  async texts(key: string, breathe: Breathe): Promise<string[] | null> {
    const list = this.textList(key);
    if (!list) return null;
    const texts: string[] = [];
    for (let i = 0; i < list.length; i++) {
      if (i % TEXTS_PER_BREATH === 0) await breathe();
      texts.push(list.at(i) ?? '');
    }
    return texts;
  }

  /** The same, each text decoded, and found to be UTF-8, when it is asked for. */
  textList(key: string): TextList | null {
    const array = this.#array(key, (type) => type === VALUE_TYPE.text, 'an array of texts');
    if (!array) return null;
    const { starts, count: length } = array;
    const bytes = bufferOf(array);
    const at = (i: number): string => this.#decoded(key, bytes, starts[i] + 8, i + 1 < length ? starts[i + 1] : bytes.length);
    return { length, at: (i) => (i < length ? at(i) : undefined) };
  }

  /** An array of numbers, or null where there is none. */
  async numbers(key: string, breathe: Breathe): Promise<Float64Array | null> {
    const array = this.#array(key, (type) => type in NUMBERS, 'an array of numbers');
    if (!array) return null;
    const stored = elementsOf(NUMBERS[array.subType], array);
    const numbers = new Float64Array(array.count);
    for (let at = 0; at < array.count; at += NUMBERS_PER_BREATH) {
      await breathe();
      numbers.set(stored.subarray(at, at + NUMBERS_PER_BREATH), at);
    }
    return numbers;
  }

  fail(key: string, found: unknown, expected: string): never {
    throw new CheckpointError({ thing: key.slice(0, 200), found: describe(found), expected, where: this.where });
  }

  #array(key: string, fits: (subType: number) => boolean, expected: string): CutValue | null {
    const value = this.#values.get(key);
    if (value?.type !== VALUE_TYPE.array) return value ? this.fail(key, this.get(key), expected) : null;
    return fits(value.subType) ? value : this.fail(key, 'an array of others', expected);
  }

  #decoded(key: string, bytes: Buffer, start: number = 0, end: number = bytes.length): string {
    const text = bytes.toString('utf8', start, end);
    // U+FFFD stands for itself, or for what is no UTF-8; a TextDecoder, which would tell, takes four times as long
    if (!text.includes('\ufffd') || isUtf8(bytes.subarray(start, end))) return text;
    return this.fail(key, 'bytes that are not UTF-8', 'UTF-8 text');
  }
}

const bufferOf = ({ bytes: { buffer, byteOffset, length } }: CutValue): Buffer => Buffer.from(buffer, byteOffset, length);

type Elements<T> = new (bytes: ArrayBuffer) => T;
type Numbers =
  | Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array | Float32Array | Float64Array;

/** By the type of a number. */
const NUMBERS: Readonly<Record<number, Elements<Numbers>>> = {
  0: Uint8Array,
  1: Int8Array,
  2: Uint16Array,
  3: Int16Array,
  4: Uint32Array,
  5: Int32Array,
  6: Float32Array,
  12: Float64Array,
};
const SCALARS: Readonly<Record<number, Elements<Numbers | BigUint64Array | BigInt64Array>>> = {
  ...NUMBERS,
  10: BigUint64Array,
  11: BigInt64Array,
};

/** The numbers of a value; a copy, as in the file they are not aligned. */
const elementsOf = <T>(array: Elements<T>, { bytes }: CutValue): T => new array(bytes.slice().buffer);
