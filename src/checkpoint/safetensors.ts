import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { CheckpointError, DisposedError } from '../base/errors.js';
import { log } from '../base/logger.js';
import { native } from '../native/native.js';
import { nearNames } from './names.js';
import { headerLength, parseHeader, type SafetensorsHeader } from './safetensors-header.js';
import { ELEMENT_ARRAYS, isReadable, type Dtype, type Elements, type TensorInfo } from './tensor-info.js';

export { writeSafetensors, type TensorToWrite } from './write-safetensors.js';
export type { Dtype, Elements, TensorInfo };

/** 'map': tensors are views of the mapped file, read as they are touched. 'copy': each is read when it is asked for. */
export type LoadMode = 'map' | 'copy';

/** Reads of more bytes than this in one call fail on some systems. */
const LARGEST_READ = 2 ** 30;

/** Where the bytes of a file come from. */
interface ByteSource {
  readonly length: number;
  read(offset: number, bytes: number): Uint8Array;
  close(): void;
}

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

  /** A tensor's elements as stored, row-major: f16 and bf16 as bits, bool as bytes. Not to be written to. */
  read(name: string): Elements {
    const { dtype, offset, bytes } = this.info(name);
    if (!isReadable(dtype)) {
      const expected = `one of ${Object.keys(ELEMENT_ARRAYS).join(' ')}`;
      throw new CheckpointError({ thing: 'dtype', found: dtype, expected, where: `${this.path}, tensor ${name}` });
    }
    const data = this.#open().read(offset, bytes);
    const array = ELEMENT_ARRAYS[dtype];
    const size = array.BYTES_PER_ELEMENT;
    const aligned = data.byteOffset % size === 0 ? data : data.slice();
    return new array(aligned.buffer as ArrayBuffer, aligned.byteOffset, bytes / size);
  }

  /** Raw bytes of the file. */
  readBytes(offset: number, bytes: number): Uint8Array {
    return this.#open().read(offset, bytes);
  }

  close(): void {
    this.#source?.close();
    this.#source = null;
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
  const source = openSource(path, options.load ?? 'map');
  try {
    const length = headerLength(source.read(0, Math.min(8, source.length)), source.length, path);
    return new SafetensorsFile(path, parseHeader(source.read(8, length), source.length, path), source);
  } catch (error) {
    source.close();
    throw error;
  }
}

function openSource(path: string, load: LoadMode): ByteSource {
  try {
    // Looked at before it is opened, since opening a pipe waits for its writer.
    const status = statSync(path);
    if (!status.isFile()) {
      const found = status.isDirectory() ? 'a folder' : 'not a regular file';
      throw new CheckpointError({ thing: 'safetensors file', found, expected: 'a file', where: path });
    }
    return (load === 'map' && status.size > 0 && mapped(path)) || descriptor(path);
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    const found = code === 'ENOENT' ? 'no such file' : message;
    throw new CheckpointError({
      thing: 'safetensors file',
      found,
      expected: 'a file that can be read',
      where: path,
      cause,
    });
  }
}

function mapped(path: string): ByteSource | null {
  const addon = native();
  if (!addon) return null;
  let buffer: ArrayBuffer;
  try {
    buffer = addon.mapFile(path);
  } catch (error) {
    log('info', `${path} is read, not mapped: ${(error as Error).message}`);
    return null;
  }
  return {
    length: buffer.byteLength,
    read: (offset, bytes) => new Uint8Array(buffer, offset, bytes),
    close: () => {},
  };
}

function descriptor(path: string): ByteSource {
  const file = openSync(path, 'r');
  const length = fstatSync(file).size;
  return {
    length,
    read: (offset, bytes) => {
      const data = new Uint8Array(bytes);
      for (let done = 0; done < bytes;) {
        const read = readSync(file, data, done, Math.min(bytes - done, LARGEST_READ), offset + done);
        if (read === 0) {
          const found = `its end at byte ${offset + done}`;
          throw new CheckpointError({
            thing: 'file',
            found,
            expected: `${length} bytes, as when it was opened`,
            where: path,
          });
        }
        done += read;
      }
      return data;
    },
    close: () => closeSync(file),
  };
}
