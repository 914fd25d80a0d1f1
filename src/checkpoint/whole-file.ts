import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { breather } from '../base/event-loop.js';

export interface WriteOptions {
  signal?: AbortSignal;
  /** Bytes written, of all. */
  onProgress?: (done: number, total: number) => void;
}

const LARGEST_WRITE = 2 ** 24;

/**
 * Lets `fill` write a file, from its start to its end, that appears at `path` whole or not at all.
 * @param total bytes that `fill` is going to write, for progress.
 */
export async function writeWholeFile(
  path: string,
  total: number,
  fill: (write: (data: Uint8Array) => Promise<void>) => Promise<void>,
  { signal, onProgress }: WriteOptions = {},
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.part`);
  const breathe = breather(signal);
  try {
    const file = await open(temporary, 'wx');
    try {
      let done = 0;
      await fill(async (data) => {
        for (let at = 0; at < data.length; at += LARGEST_WRITE) {
          await breathe();
          const part = data.subarray(at, at + LARGEST_WRITE);
          await file.writeFile(part);
          done += part.length;
          onProgress?.(done, total);
        }
      });
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
