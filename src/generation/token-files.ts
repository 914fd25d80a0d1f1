import { readFile, stat, writeFile } from 'node:fs/promises';
import { NibbleLensError, OptionError } from '../base/errors.js';
import { systemErrorInWords } from '../base/system-error.js';

/** Ids, and the size of the vocabulary that they belong to. */
export interface TokenFile {
  readonly ids: Int32Array;
  readonly vocabSize: number;
}

const MAGIC = 'NLTK';
const VERSION = 1;
const HEADER_BYTES = 16;
const LARGEST_FILE = 2 ** 30;

/**
 * Writes token ids to a binary file. All numbers are little-endian:
 *
 * | byte | type | meaning |
 * |---|---|---|
 * | 0 | 4 bytes | "NLTK" in ASCII |
 * | 4 | u32 | version of the format, 1 |
 * | 8 | u32 | number of ids, n |
 * | 12 | u32 | size of the vocabulary; every id is smaller |
 * | 16 | n × u32 | the ids |
 *
 * @throws OptionError for an id outside the vocabulary.
 */
export async function writeTokenFile(path: string, ids: ArrayLike<number>, vocabSize: number): Promise<void> {
  if (!Number.isInteger(vocabSize) || vocabSize < 1 || vocabSize > 2 ** 31) {
    throw new OptionError({ thing: 'vocabulary size', found: vocabSize, expected: '1 to 2^31', where: path });
  }
  const bytes = new Uint8Array(HEADER_BYTES + 4 * ids.length);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(MAGIC));
  view.setUint32(4, VERSION, true);
  view.setUint32(8, ids.length, true);
  view.setUint32(12, vocabSize, true);
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i] as number;
    if (!Number.isInteger(id) || id < 0 || id >= vocabSize) {
      throw new OptionError({ thing: `id ${i}`, found: id, expected: `0 to ${vocabSize - 1}`, where: path });
    }
    view.setUint32(HEADER_BYTES + 4 * i, id, true);
  }
  await writeFile(path, bytes);
}

/**
 * Reads what `writeTokenFile` wrote. With `vocabSize`, the file's must be the same.
 * @throws NibbleLensError if the file is missing, damaged or of another vocabulary.
 */
export async function readTokenFile(path: string, vocabSize?: number): Promise<TokenFile> {
  const fail = (thing: string, found: unknown, expected: unknown, cause?: unknown): never => {
    throw new NibbleLensError({ thing, found, expected, where: path, cause });
  };
  const bytes = await readSmall(path).catch((cause: unknown) =>
    cause instanceof NibbleLensError
      ? Promise.reject(cause)
      : fail('token file', systemErrorInWords(cause) ?? String(cause), 'a file that can be read', cause),
  );
  if (bytes.length < HEADER_BYTES) {
    fail('length of the token file', `${bytes.length} bytes`, `at least ${HEADER_BYTES}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = new TextDecoder('latin1').decode(bytes.subarray(0, 4));
  if (magic !== MAGIC) fail('first bytes of the token file', JSON.stringify(magic), JSON.stringify(MAGIC));
  if (view.getUint32(4, true) !== VERSION) fail('version of the token file', view.getUint32(4, true), VERSION);
  const count = view.getUint32(8, true);
  const size = view.getUint32(12, true);
  if (bytes.length !== HEADER_BYTES + 4 * count) {
    fail('length of the token file', `${bytes.length} bytes`, `${HEADER_BYTES + 4 * count}, for ${count} ids`);
  }
  if (size < 1 || size > 2 ** 31) fail('vocabulary size in the token file', size, '1 to 2^31');
  if (vocabSize !== undefined && size !== vocabSize) fail('vocabulary size in the token file', size, vocabSize);
  const ids = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    const id = view.getUint32(HEADER_BYTES + 4 * i, true);
    if (id >= size) fail(`id ${i} of the token file (byte ${HEADER_BYTES + 4 * i})`, id, `0 to ${size - 1}`);
    ids[i] = id;
  }
  return { ids, vocabSize: size };
}

async function readSmall(path: string): Promise<Uint8Array> {
  const { size } = await stat(path);
  if (size > LARGEST_FILE) {
    throw new NibbleLensError({
      thing: 'length of the token file',
      found: `${size} bytes`,
      expected: `at most ${LARGEST_FILE}`,
      where: path,
    });
  }
  return readFile(path);
}
