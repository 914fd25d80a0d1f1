import { OptionError, ShapeError } from '../base/errors.js';
import { GGML_TYPES, type GgmlTypeName } from './ggml-types.js';
import { elementCount } from './tensor-info.js';
import { writeWholeFile, type WriteOptions } from './whole-file.js';

/** A value of a GGUF file's metadata, with its type, as it is in the file; `ggufValue` makes them. */
export interface GgufValue {
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** Types of values, by their numbers in the file. */
const TYPES = { uint32: 4, int32: 5, float32: 6, flag: 7, text: 8, array: 9 } as const;

const value = (type: number, { buffer, byteOffset, byteLength }: ArrayBufferView): GgufValue => ({
  type,
  bytes: new Uint8Array(buffer, byteOffset, byteLength),
});

/** Type and number of its elements, then these. */
const array = (type: number, count: number, elements: ArrayBufferView): GgufValue =>
  value(TYPES.array, joined([words([type, count, 0]), value(type, elements).bytes]));

/** Makes values of metadata, by their type in the file. */
export const ggufValue = {
  uint32: (number: number): GgufValue => value(TYPES.uint32, Uint32Array.of(number)),
  float32: (number: number): GgufValue => value(TYPES.float32, Float32Array.of(number)),
  flag: (flag: boolean): GgufValue => value(TYPES.flag, Uint8Array.of(flag ? 1 : 0)),
  text: (text: string): GgufValue => value(TYPES.text, encodeTexts([text])),
  texts: (texts: readonly string[]): GgufValue => array(TYPES.text, texts.length, encodeTexts(texts)),
  float32s: (numbers: readonly number[]): GgufValue => array(TYPES.float32, numbers.length, Float32Array.from(numbers)),
  int32s: (numbers: readonly number[]): GgufValue => array(TYPES.int32, numbers.length, Int32Array.from(numbers)),
} as const;

/** Little-endian 32-bit words; two of them make a 64-bit one below 2^32. */
const words = (numbers: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(numbers).buffer);

/** Length and UTF-8 bytes of each. */
function encodeTexts(texts: readonly string[]): Uint8Array {
  const bytes = Buffer.alloc(texts.reduce((sum, text) => sum + 8 + Buffer.byteLength(text), 0));
  let at = 0;
  for (const text of texts) {
    const length = bytes.write(text, at + 8);
    bytes.writeUInt32LE(length, at);
    at += 8 + length;
  }
  return bytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** A tensor for `writeGguf`. */
export interface GgufTensorToWrite {
  readonly name: string;
  readonly type: GgmlTypeName;
  /** Outermost first, as everywhere here; a GGUF file has them the other way round. The last one is in whole blocks. */
  readonly shape: readonly number[];
  /** Its blocks, or what makes them piece by piece when their turn comes: so a file may be larger than memory. */
  readonly data: Uint8Array | (() => AsyncIterable<Uint8Array> | Iterable<Uint8Array>);
}

const VERSION = 3;
/** What readers take where `general.alignment` is absent. */
const ALIGNMENT = 32;

/**
 * Writes a GGUF file, version 3: metadata and tensors in the order given, each tensor at a multiple of 32 bytes from the
 * start of the data. Equal input gives equal bytes. The file appears whole or not at all.
 * @throws OptionError for a tensor's name given twice; ShapeError for a shape of broken blocks, and if data do not fit.
 */
export async function writeGguf(
  path: string,
  { metadata, tensors }: { metadata: Readonly<Record<string, GgufValue>>; tensors: readonly GgufTensorToWrite[] },
  options: WriteOptions = {},
): Promise<void> {
  const sizes = tensors.map(byteLength);
  const header = encodeHeader(metadata, tensors, sizes);
  const total = header.length + sizes.reduce((sum, bytes) => sum + aligned(bytes), 0);
  await writeWholeFile(
    path,
    total,
    async (write) => {
      await write(header);
      for (const [i, tensor] of tensors.entries()) {
        let written = 0;
        for await (const piece of tensor.data instanceof Uint8Array ? [tensor.data] : tensor.data()) {
          written += piece.length;
          checkBytes(tensor, written, sizes[i], written > sizes[i]);
          await write(piece);
        }
        checkBytes(tensor, written, sizes[i], written < sizes[i]);
        await write(new Uint8Array(aligned(written) - written));
      }
    },
    options,
  );
}

function byteLength({ name, type, shape }: GgufTensorToWrite): number {
  const { elements, bytes } = GGML_TYPES[type];
  const row = shape[shape.length - 1] ?? 1;
  if (row % elements !== 0) {
    throw new ShapeError({ thing: `row of ${name}`, found: row, expected: `a multiple of ${elements}, the block of ${type}` });
  }
  return (elementCount(shape) / elements) * bytes;
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function encodeHeader(
  metadata: Readonly<Record<string, GgufValue>>,
  tensors: readonly GgufTensorToWrite[],
  sizes: readonly number[],
): Uint8Array {
  const entries = Object.entries(metadata);
  const counts = [tensors.length, 0, entries.length, 0];
  const start = [new TextEncoder().encode('GGUF'), words([VERSION, ...counts])];
  const values = entries.flatMap(([key, { type, bytes }]) => [encodeTexts([key]), words([type]), bytes]);
  const names = new Set<string>();
  let offset = 0;
  const descriptions = tensors.map(({ name, type, shape }, i) => {
    if (names.has(name)) throw new OptionError({ thing: 'tensor name', found: name, expected: 'each name once' });
    names.add(name);
    const description = describeTensor(name, shape, GGML_TYPES[type].id, offset);
    offset += aligned(sizes[i]);
    return description;
  });
  const unpadded = joined([...start, ...values, ...descriptions]);
  return joined([unpadded, new Uint8Array(aligned(unpadded.length) - unpadded.length)]);
}

/** Name, number of sizes, sizes innermost first, type, and where the data are from the start of all data. */
function describeTensor(name: string, shape: readonly number[], type: number, offset: number): Uint8Array {
  const sizes = shape.toReversed().flatMap((size) => [size, 0]);
  const place = BigUint64Array.of(BigInt(offset)).buffer;
  return joined([encodeTexts([name]), words([shape.length, ...sizes, type]), new Uint8Array(place)]);
}

function checkBytes({ name, type, shape }: GgufTensorToWrite, found: number, expected: number, isWrong: boolean): void {
  if (!isWrong) return;
  throw new ShapeError({ thing: `bytes of ${name}`, found, expected: `${expected} for ${type} [${shape.join(', ')}]` });
}
