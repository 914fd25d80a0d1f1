import { constants } from 'node:buffer';
import { CheckpointError, DisposedError } from '../base/errors.js';
import { breather, type Breathe } from '../base/event-loop.js';
import { copyOf, openSource, type ByteSource, type LoadMode } from './byte-source.js';
import { describe } from './json.js';
import { nearNames } from './names.js';
import { headerLength, parseHeader, START_BYTES, type SafetensorsHeader } from './safetensors-header.js';
import { ELEMENT_ARRAYS, isReadable, type Dtype, type Elements, type TensorInfo } from './tensor-info.js';

export { writeSafetensors, type TensorToWrite } from './write-safetensors.js';
export type { Dtype, Elements, LoadMode, TensorInfo };

/** An open safetensors file. Arrays that it gave stay valid after `close`. */
export class SafetensorsFile {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: ReadonlyMap<string, string>;
  /** Where the data starts. */
  readonly dataOffset: number;
  #source: ByteSource | null;

  /** Use `openSafetensors`. */
  constructor(path: string, header: SafetensorsHeader, source: ByteSource) {
    this.path = path;
    this.tensors = header.tensors;
    this.metadata = header.metadata;
    this.dataOffset = header.dataOffset;
    this.#source = source;
  }

  /** Length of the file in bytes. */
  get length(): number {
    return this.#open().length;
  }

  /** @throws CheckpointError if the file has no such tensor. */
  info(name: string): TensorInfo {
    const info = this.tensors.get(name);
    if (info) return info;
    const expected = `one of ${this.tensors.size} tensors such as ${nearNames(name, this.tensors.keys())}`;
    throw new CheckpointError({ thing: 'tensor', found: name, expected, where: this.path });
  }

  /**
   * A tensor's elements as stored, row-major: f16 and bf16 as bits, bool as bytes. Not to be written to.
   * @throws CheckpointError for a dtype that no typed array holds, and a tensor larger than one can be.
   */
  async read(name: string, breathe: Breathe = breather()): Promise<Elements> {
    const { dtype, offset, bytes } = this.info(name);
    const where = `${this.path}, tensor ${describe(name)}`;
    if (!isReadable(dtype)) {
      const expected = `one of ${Object.keys(ELEMENT_ARRAYS).join(' ')}`;
      throw new CheckpointError({ thing: 'dtype', found: dtype, expected, where });
    }
    const array = ELEMENT_ARRAYS[dtype];
    const size = array.BYTES_PER_ELEMENT;
    checkLength(bytes / size, where);
    const { buffer, start } = await this.#open().read(offset, bytes, breathe);
    if (start % size === 0) return new array(buffer, start, bytes / size);
    return new array(await copyOf(buffer, start, bytes, breathe, where), 0, bytes / size);
  }

  /** Raw bytes of the file, not to be written to. @throws CheckpointError if they are not all in the file. */
  async readBytes(offset: number, bytes: number, breathe: Breathe = breather()): Promise<Uint8Array> {
    const source = this.#open();
    if (offset < 0 || bytes < 0 || offset + bytes > source.length) {
      const expected = `within its ${source.length} bytes`;
      throw new CheckpointError({ thing: 'range', found: [offset, offset + bytes], expected, where: this.path });
    }
    checkLength(bytes, this.path);
    const { buffer, start } = await source.read(offset, bytes, breathe);
    return new Uint8Array(buffer, start, bytes);
  }

  /** Reads that are under way come to their end first. */
  async close(): Promise<void> {
    const source = this.#source;
    this.#source = null;
    await source?.close();
  }

  #open(): ByteSource {
    if (this.#source) return this.#source;
    throw new DisposedError({ thing: 'safetensors file', found: 'closed', expected: 'open', where: this.path });
  }
}

/**
 * Opens a safetensors file and checks its whole header before anything of the size that it tells is allocated.
 * Without the native addon, 'map' reads as 'copy' does. A mapped file must not shrink while its tensors are in use.
 * @throws CheckpointError if the file is missing or damaged.
 */
export async function openSafetensors(path: string, options: { load?: LoadMode } = {}): Promise<SafetensorsFile> {
  const source = await openSource(path, options.load ?? 'map');
  const read = async (offset: number, bytes: number) => {
    const { buffer, start } = await source.read(offset, bytes, breather());
    return new Uint8Array(buffer, start, bytes);
  };
  try {
    const length = headerLength(await read(0, Math.min(START_BYTES, source.length)), source.length, path);
    return new SafetensorsFile(path, parseHeader(await read(8, length), source.length, path), source);
  } catch (error) {
    await source.close();
    throw error;
  }
}

function checkLength(elements: number, where: string): void {
  if (elements <= constants.MAX_LENGTH) return;
  const expected = `at most ${constants.MAX_LENGTH}, as typed arrays of this Node.js hold`;
  throw new CheckpointError({ thing: 'elements', found: elements, expected, where });
}
