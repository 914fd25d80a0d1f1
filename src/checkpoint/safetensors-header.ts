import { CheckpointError } from '../base/errors.js';
import { asJsonObject, describe, parseJsonObject } from './json.js';
import { DTYPE_BITS, type Dtype, type TensorInfo } from './tensor-info.js';

/**
 * Enough for a hundred thousand tensors. The format allows 100 MB, which would take gigabytes of memory and seconds of
 * the event loop once parsed.
 */
const LARGEST_HEADER = 2 ** 24;
const LENGTH_BYTES = 8;
/** Bytes at the start of a file that `headerLength` looks at, to name files of other kinds. */
export const START_BYTES = 64;

/** How files begin that are met under the name of a safetensors file. */
const OTHER_KINDS: readonly (readonly [start: RegExp, kind: string])[] = [
  [/^version https:\/\/git-lfs/, 'a Git LFS pointer; "git lfs pull" fetches the file itself'],
  [/^GGUF/, 'a GGUF file'],
  [/^PK\x03\x04/, 'a PyTorch or zip file'],
  [/^\s*<(!doctype|html|\?xml)/i, 'an HTML or XML page'],
];

export interface SafetensorsHeader {
  /** In the order of the header. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: ReadonlyMap<string, string>;
  /** Where the data starts in the file. */
  readonly dataOffset: number;
}

/**
 * Reads the length of the header, a little-endian u64 at the start of the file.
 * @param start the file's first `START_BYTES` bytes, or all of a shorter file.
 * @throws CheckpointError if the file cannot hold a header of that length, or is of another kind.
 */
export function headerLength(start: Uint8Array, fileBytes: number, where: string): number {
  if (fileBytes < LENGTH_BYTES) {
    throw new CheckpointError({ thing: 'file length', found: `${fileBytes} bytes`, expected: 'at least 8', where });
  }
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  const limit = Math.min(LARGEST_HEADER, fileBytes - LENGTH_BYTES);
  if (length <= BigInt(limit)) return Number(length);
  const text = new TextDecoder('latin1').decode(start);
  const other = OTHER_KINDS.find(([pattern]) => pattern.test(text));
  if (other)
    throw new CheckpointError({ thing: 'kind of file', found: other[1], expected: 'a safetensors file', where });
  const found = `${length} bytes in a file of ${fileBytes}`;
  throw new CheckpointError({ thing: 'length of the safetensors header', found, expected: `at most ${limit}`, where });
}

/**
 * Parses and checks a header: every tensor's dtype, shape and byte range, and that no two ranges overlap.
 * @param json the header without its length.
 * @throws CheckpointError
 */
export function parseHeader(json: Uint8Array, fileBytes: number, where: string): SafetensorsHeader {
  const dataOffset = LENGTH_BYTES + json.length;
  const tensors = new Map<string, TensorInfo>();
  let metadata = new Map<string, string>();
  for (const [name, entry] of parseJsonObject(json, where)) {
    if (name === '__metadata__') metadata = parseMetadata(entry, where);
    else tensors.set(name, parseTensor(name, entry, dataOffset, fileBytes, where));
  }
  checkOverlaps(tensors, where);
  return { tensors, metadata, dataOffset };
}

function parseMetadata(entry: unknown, where: string): Map<string, string> {
  const object = asJsonObject(entry);
  if (!object)
    throw new CheckpointError({ thing: '__metadata__', found: describe(entry), expected: 'an object', where });
  return new Map(
    [...object].map(([key, value]) => {
      if (typeof value === 'string') return [key, value];
      throw new CheckpointError({
        thing: `__metadata__ ${describe(key)}`,
        found: describe(value),
        expected: 'a string',
        where,
      });
    }),
  );
}

function parseTensor(name: string, entry: unknown, dataOffset: number, fileBytes: number, file: string): TensorInfo {
  const fail = (thing: string, found: string, expected: string): never => {
    throw new CheckpointError({ thing, found, expected, where: `${file}, tensor ${describe(name)}` });
  };
  const fields = asJsonObject(entry) ?? fail('tensor', describe(entry), 'an object with dtype, shape and data_offsets');
  const dtype = fields.get('dtype');
  if (!isDtype(dtype)) return fail('dtype', describe(dtype), `one of ${Object.keys(DTYPE_BITS).join(' ')}`);
  const shape = fields.get('shape');
  if (!isSizes(shape)) return fail('shape', describe(shape), 'a list of whole numbers from 0');
  const offsets = fields.get('data_offsets');
  const length = fileBytes - dataOffset;
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0] > offsets[1] || offsets[1] > length) {
    return fail('data_offsets', describe(offsets), `[begin, end) within the ${length} bytes after the header`);
  }
  const bytes = offsets[1] - offsets[0];
  const needed = (shape.reduce((product, size) => product * BigInt(size), 1n) * BigInt(DTYPE_BITS[dtype]) + 7n) / 8n;
  if (needed !== BigInt(bytes)) {
    return fail('data_offsets', `${bytes} bytes`, `${needed} bytes for ${dtype} ${describe(shape)}`);
  }
  return { name, dtype, shape, offset: dataOffset + offsets[0], bytes };
}

const isDtype = (value: unknown): value is Dtype => typeof value === 'string' && Object.hasOwn(DTYPE_BITS, value);

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length <= 64 && value.every((size) => Number.isSafeInteger(size) && size >= 0);

function checkOverlaps(tensors: ReadonlyMap<string, TensorInfo>, file: string): void {
  const byOffset = [...tensors.values()].filter(({ bytes }) => bytes > 0).sort((a, b) => a.offset - b.offset);
  for (let i = 1; i < byOffset.length; i++) {
    const [before, tensor] = [byOffset[i - 1], byOffset[i]];
    if (tensor.offset < before.offset + before.bytes) {
      throw new CheckpointError({
        thing: 'start of a tensor',
        found: `byte ${tensor.offset}`,
        expected: `byte ${before.offset + before.bytes} or later, where ${describe(before.name)} ends`,
        where: `${file}, tensor ${describe(tensor.name)}`,
      });
    }
  }
}
