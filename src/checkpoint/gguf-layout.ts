import { CheckpointError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import type { ByteSource } from './byte-source.js';
import { describe } from './json.js';

/** Types of values in GGUF's metadata, by their numbers. */
export const VALUE_TYPE = { flag: 7, text: 8, array: 9 } as const;
/** Bytes of a value of each type; 0 of those whose length depends on the value. */
const VALUE_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8] as const;

/** Three times that of the largest vocabularies with merges. */
const LARGEST_HEADER = 2 ** 26;
/** The header of a model with a vocabulary of 32,000. */
const FIRST_READ = 2 ** 20;
/** Of a tensor's name or a key; ggml allows 64 bytes for the one and the format 65,535 for the other. */
const LONGEST_NAME = 1024;
const MOST_VALUES = 2 ** 12;
/** More than 1800 layers have. */
const MOST_TENSORS = 2 ** 14;
const MOST_AXES = 4;
const DEEPEST_ARRAY = 4;
const ELEMENTS_PER_BREATH = 2 ** 14;

/** How files begin that are met under the name of a GGUF file. */
const OTHER_KINDS: readonly (readonly [start: RegExp, kind: string])[] = [
  [/^version https:\/\/git-lfs/, 'a Git LFS pointer; "git lfs pull" fetches the file itself'],
  [/^(ggml|lmgg|fmgg|tjgg|algg|jlgg)/, 'a GGML file of before GGUF'],
  [/^.{8}\{/s, 'a safetensors file'],
  [/^PK\x03\x04/, 'a PyTorch or zip file'],
  [/^\s*<(!doctype|html|\?xml)/i, 'an HTML or XML page'],
];

/** A value of the metadata as its bytes in the file. */
export interface CutValue {
  readonly type: number;
  /** Of an array's elements; else that of the value. */
  readonly subType: number;
  /** Elements of an array, else 1. */
  readonly count: number;
  /** The elements, the text's bytes, or the number. */
  readonly bytes: Uint8Array;
  /** Where in `bytes` each text of an array begins with its length, of 8 bytes. */
  readonly starts: readonly number[];
}

/** A GGUF header in two parts. */
export interface CutHeader {
  /** The metadata, by key. */
  readonly values: ReadonlyMap<string, CutValue>;
  readonly tensorCount: number;
  /** A GGUF header that describes the same tensors, and has no metadata. */
  readonly tensors: Uint8Array;
  /** Where the metadata end in the file, and descriptions of tensors start. */
  readonly metadataEnd: number;
  /** Bytes of the whole header in the file. */
  readonly length: number;
}

/**
 * Measures a GGUF header: every length and count is checked against the file before anything of that size is read or
 * allocated. Metadata are cut out, to be decoded when they are wanted, since the library that reads the tensors takes
 * an array in one go: 1.6 s for a vocabulary of 128 thousand with its merges, half a second of it at a stretch.
 * @throws CheckpointError with the byte offset, for files of other kinds, cut files, and counts that cannot be.
 */
export async function cutHeader(source: ByteSource, path: string, breathe: Breathe): Promise<CutHeader> {
  const cursor = new Cursor(source, path, breathe);
  await cursor.load(Math.min(FIRST_READ, source.length));
  checkKind(cursor);
  cursor.at = 8;
  await cursor.need(16, 'counts of tensors and values');
  const tensorCount = cursor.count('number of tensors', MOST_TENSORS);
  const valueCount = cursor.count('number of values', MOST_VALUES);
  const measured = new Map<string, MeasuredValue>();
  for (let i = 0; i < valueCount; i++) {
    const key = await cursor.name(`key ${i}`);
    if (measured.has(key)) cursor.fail('key of the metadata', `${describe(key)} twice`, 'each key once');
    await cursor.need(4, `type of ${describe(key)}`);
    const type = cursor.valueType(key);
    measured.set(key, await measure(cursor, type, key, 0));
  }
  const metadataEnd = cursor.at;
  for (let i = 0; i < tensorCount; i++) await skipTensor(cursor, i);
  await cursor.need(0, 'header');
  const { bytes, at } = cursor;
  const values = [...measured].map(([key, { begin, end, ...value }]): [string, CutValue] => {
    return [key, { ...value, bytes: bytes.subarray(begin, end) }];
  });
  const noValues = new Uint8Array(8);
  return {
    values: new Map(values),
    tensorCount,
    tensors: new Uint8Array(Buffer.concat([bytes.subarray(0, 16), noValues, bytes.subarray(metadataEnd, at)])),
    metadataEnd,
    length: at,
  };
}

function checkKind(cursor: Cursor): void {
  const text = new TextDecoder('latin1').decode(cursor.bytes.subarray(0, 64));
  if (!text.startsWith('GGUF')) {
    const other = OTHER_KINDS.find(([pattern]) => pattern.test(text));
    cursor.fail('kind of file', other?.[1] ?? `one that starts with ${describe(text.slice(0, 4))}`, 'a GGUF file');
  }
  if (text.length < 24) cursor.fail('file length', `${text.length} bytes`, 'at least 24');
  cursor.at = 4;
  const version = cursor.view.getUint32(4, true);
  if (version === 2 || version === 3) return;
  const swapped = cursor.view.getUint32(4, false);
  const found = swapped <= 3 ? `version ${swapped}, big-endian` : version;
  cursor.fail('version of the GGUF format', found, 'version 2 or 3, little-endian');
}

/** A value with the place of its bytes in the header. */
type MeasuredValue = Omit<CutValue, 'bytes'> & { readonly begin: number; readonly end: number };

/** Moves past a value. */
async function measure(cursor: Cursor, type: number, key: string, depth: number): Promise<MeasuredValue> {
  if (type === VALUE_TYPE.text) {
    await cursor.need(8, `length of ${describe(key)}`);
    const length = cursor.count(`length of ${describe(key)}`, cursor.left - 8);
    const begin = cursor.at;
    cursor.at += length;
    return { type, subType: type, count: 1, begin, end: cursor.at, starts: [] };
  }
  if (type !== VALUE_TYPE.array) {
    const begin = cursor.at;
    await cursor.need(VALUE_BYTES[type], describe(key));
    cursor.at += VALUE_BYTES[type];
    return { type, subType: type, count: 1, begin, end: cursor.at, starts: [] };
  }
  if (depth === DEEPEST_ARRAY) cursor.fail(`arrays within ${describe(key)}`, 'more', `at most ${DEEPEST_ARRAY}`);
  await cursor.need(12, `array ${describe(key)}`);
  const subType = cursor.valueType(key);
  // a text takes 8 bytes at least, an array 12
  const least = VALUE_BYTES[subType] || (subType === VALUE_TYPE.text ? 8 : 12);
  const count = cursor.count(`elements of ${describe(key)}`, Math.floor((cursor.left - 8) / least));
  const begin = cursor.at;
  if (VALUE_BYTES[subType] > 0) cursor.at += count * VALUE_BYTES[subType];
  else if (subType !== VALUE_TYPE.text) for (let i = 0; i < count; i++) await measure(cursor, subType, key, depth + 1);
  const starts = subType === VALUE_TYPE.text ? await skipTexts(cursor, count, key) : [];
  return { type, subType, count, begin, end: cursor.at, starts };
}

/** Tells where each text begins, from the first on. */
async function skipTexts(cursor: Cursor, count: number, key: string): Promise<number[]> {
  const begin = cursor.at;
  const starts: number[] = [];
  for (let i = 0; i < count; i++) {
    if (i % ELEMENTS_PER_BREATH === 0) await cursor.breathe();
    if (cursor.at + 8 > cursor.bytes.length) await cursor.need(8, `text ${i} of ${describe(key)}`);
    const length = cursor.view.getUint32(cursor.at, true);
    if (length > cursor.left - 8 || cursor.view.getUint32(cursor.at + 4, true) !== 0) {
      cursor.count(`length of text ${i} of ${describe(key)}`, cursor.left - 8);
    }
    starts.push(cursor.at - begin);
    cursor.at += 8 + length;
  }
  return starts;
}

/** Name, axes, sizes, type and offset of a tensor; what they say is checked once they are read. */
async function skipTensor(cursor: Cursor, i: number): Promise<void> {
  const name = await cursor.name(`name of tensor ${i}`);
  await cursor.need(4, `axes of tensor ${describe(name)}`);
  const axes = cursor.view.getUint32(cursor.at, true);
  if (axes > MOST_AXES) cursor.fail(`axes of tensor ${describe(name)}`, axes, `at most ${MOST_AXES}`);
  const rest = 4 + 8 * axes + 4 + 8;
  await cursor.need(rest, `tensor ${describe(name)}`);
  cursor.at += rest;
}

/** A place in a header of which as much is in memory as was asked for. */
class Cursor {
  at = 0;
  bytes = new Uint8Array(0);
  view = new DataView(this.bytes.buffer);
  readonly breathe: Breathe;
  readonly #source: ByteSource;
  readonly #path: string;

  constructor(source: ByteSource, path: string, breathe: Breathe) {
    this.#source = source;
    this.#path = path;
    this.breathe = breathe;
  }

  /** Bytes of the file from here on. */
  get left(): number {
    return this.#source.length - this.at;
  }

  fail(thing: string, found: unknown, expected: string): never {
    const where = `${this.#path}, byte ${this.at}`;
    throw new CheckpointError({ thing, found: String(found), expected, where });
  }

  /** Makes sure that so many bytes from here on are in memory. */
  async need(bytes: number, thing: string): Promise<void> {
    const end = this.at + bytes;
    if (end <= this.bytes.length) return;
    if (end > this.#source.length) {
      this.fail(thing, `the end of the file, at byte ${this.#source.length}`, `${bytes} bytes more`);
    }
    if (end > LARGEST_HEADER) this.fail('header', `more than ${LARGEST_HEADER} bytes`, 'less');
    await this.load(Math.min(Math.max(end, 4 * this.bytes.length), LARGEST_HEADER, this.#source.length));
  }

  async load(length: number): Promise<void> {
    const { buffer, start } = await this.#source.read(0, length, this.breathe);
    this.bytes = new Uint8Array(buffer, start, length);
    this.view = new DataView(buffer, start, length);
  }

  /** Reads a count of 64 bits, which must be in memory. */
  count(thing: string, most: number): number {
    const count = this.view.getBigUint64(this.at, true);
    if (count > BigInt(Math.max(most, 0))) this.fail(thing, count, `at most ${Math.max(most, 0)}`);
    this.at += 8;
    return Number(count);
  }

  /** Reads the number of a type, which must be in memory. */
  valueType(key: string): number {
    const type = this.view.getUint32(this.at, true);
    if (type >= VALUE_BYTES.length) {
      this.fail(`type of ${describe(key)}`, type, `0 to ${VALUE_BYTES.length - 1}`);
    }
    this.at += 4;
    return type;
  }

  async name(thing: string): Promise<string> {
    await this.need(8, thing);
    const length = this.count(`length of ${thing}`, LONGEST_NAME);
    await this.need(length, thing);
    const name = new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.bytes.subarray(this.at, this.at + length));
    this.at += length;
    return name;
  }
}
