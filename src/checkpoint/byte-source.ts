import { open, stat } from 'node:fs/promises';
import { CheckpointError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import { log } from '../base/logger.js';
import { mapFile } from '../native/mapped-files.js';
import { LONGEST_MAPPING } from '../native/native.js';

/** 'map': tensors are views of the mapped file, read as they are touched. 'copy': each is read when it is asked for. */
export type LoadMode = 'map' | 'copy';

/** Bytes of one read or copy between two breaths; reads of over 2 GiB in one call fail on some systems. */
const PIECE = 2 ** 24;

/** So that what is aligned in a file is aligned in a mapping of a part of it. */
const PART_ALIGNMENT = 64;

/** Bytes in memory; no Uint8Array, since on some systems those end at 4 GiB. May be shared: not to be written to. */
export interface Bytes {
  readonly buffer: ArrayBuffer;
  readonly start: number;
}

/** Where the bytes of a file come from. */
export interface ByteSource {
  readonly length: number;
  /** A range that is within the file. `into` is a buffer that it may be put in, where it has to be copied. */
  read(offset: number, bytes: number, breathe: Breathe, into?: ArrayBuffer): Promise<Bytes>;
  close(): Promise<void>;
}

/**
 * Opens a file for reading. Without the native addon, or where mapping fails, 'map' reads as 'copy' does.
 * @param kind what the file is meant to be, for errors.
 * @throws CheckpointError if there is no such file, or it is not a regular one.
 */
export async function openSource(path: string, load: LoadMode, kind = 'safetensors file'): Promise<ByteSource> {
  try {
    // Looked at before it is opened, since opening a pipe waits for its writer.
    const status = await stat(path);
    if (!status.isFile()) {
      const found = status.isDirectory() ? 'a folder' : 'not a regular file';
      throw new CheckpointError({ thing: kind, found, expected: 'a file', where: path });
    }
    if (load === 'copy' || status.size === 0) return await descriptor(path);
    return (
      (status.size <= LONGEST_MAPPING ? mapped(path, status.size) : await mappedInParts(path)) ??
      (await descriptor(path))
    );
  } catch (cause) {
    throw cause instanceof CheckpointError ? cause : unreadable(cause, path, kind);
  }
}

function unreadable(cause: unknown, path: string, kind = 'file'): CheckpointError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const found = code === 'ENOENT' ? 'no such file' : message;
  return new CheckpointError({ thing: kind, found, expected: 'a file that can be read', where: path, cause });
}

function mapped(path: string, length: number): ByteSource | null {
  const buffer = tryToMap(path, 0, length);
  return buffer && { length, read: async (start) => ({ buffer, start }), close: async () => {} };
}

/** For a file too long for one mapping: each range that is read gets its own, or is copied if it is too long as well. */
async function mappedInParts(path: string): Promise<ByteSource | null> {
  if (!tryToMap(path, 0, 1)) return null;
  const copied = await descriptor(path);
  return {
    ...copied,
    read: async (offset, bytes, breathe, into) => {
      const start = offset % PART_ALIGNMENT;
      const isMappable = bytes > 0 && start + bytes <= LONGEST_MAPPING;
      const buffer = isMappable ? tryToMap(path, offset - start, start + bytes) : null;
      return buffer ? { buffer, start } : copied.read(offset, bytes, breathe, into);
    },
  };
}

function tryToMap(path: string, offset: number, length: number): ArrayBuffer | null {
  try {
    return mapFile(path, offset, length);
  } catch (error) {
    log('info', `${path} is read, not mapped: ${(error as Error).message}`);
    return null;
  }
}

async function descriptor(path: string): Promise<ByteSource> {
  const file = await open(path);
  const length = (await file.stat()).size;
  const underWay = new Set<Promise<Bytes>>();
  const read = async (offset: number, bytes: number, breathe: Breathe, into?: ArrayBuffer): Promise<Bytes> => {
    const buffer = into && into.byteLength >= bytes ? into : allocate(bytes, path);
    for (let done = 0; done < bytes;) {
      await breathe();
      const piece = new Uint8Array(buffer, done, Math.min(bytes - done, PIECE));
      const { bytesRead } = await file.read(piece, 0, piece.length, offset + done).catch((cause: unknown) => {
        throw unreadable(cause, path);
      });
      if (bytesRead === 0) {
        const found = `its end at byte ${offset + done}`;
        const expected = `${length} bytes, as when it was opened`;
        throw new CheckpointError({ thing: 'file', found, expected, where: path });
      }
      done += bytesRead;
    }
    return { buffer, start: 0 };
  };
  return {
    length,
    read: (offset, bytes, breathe, into) => {
      const reading = read(offset, bytes, breathe, into).finally(() => underWay.delete(reading));
      underWay.add(reading);
      return reading;
    },
    close: async () => {
      await Promise.allSettled(underWay);
      await file.close();
    },
  };
}

/** A range of a buffer as a buffer of its own. */
export async function copyOf(
  from: ArrayBuffer,
  start: number,
  bytes: number,
  breathe: Breathe,
  where: string,
): Promise<ArrayBuffer> {
  const buffer = allocate(bytes, where);
  for (let done = 0; done < bytes; done += PIECE) {
    await breathe();
    const length = Math.min(PIECE, bytes - done);
    new Uint8Array(buffer, done, length).set(new Uint8Array(from, start + done, length));
  }
  return buffer;
}

function allocate(bytes: number, where: string): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes);
  } catch (cause) {
    const expected = 'memory for them';
    throw new CheckpointError({ thing: 'bytes to read', found: bytes, expected, where, cause });
  }
}
