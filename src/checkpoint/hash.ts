import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { CheckpointError } from '../base/errors.js';
import { breather } from '../base/event-loop.js';
import type { CheckpointFiles } from './checkpoint-files.js';
import { readSmallFile } from './json.js';

const SAMPLES = 16;
const SAMPLE_BYTES = 2 ** 16;

/** A file of weights, for its hash. */
export interface HashedFile {
  readonly path: string;
  readonly length: number;
  /** Where the data starts, after the header. */
  readonly dataOffset: number;
  readBytes(offset: number, bytes: number): Promise<Uint8Array>;
}

/** `hashFiles` of config.json and the weight files of a folder. */
export async function hashCheckpoint({ folder, files }: CheckpointFiles): Promise<string> {
  const config = await readSmallFile(join(folder, 'config.json'));
  if (!config) {
    throw new CheckpointError({ thing: 'config.json', found: 'none any more', expected: 'one', where: folder });
  }
  return hashFiles(files, config);
}

/**
 * SHA-256, in hex, of a config file where there is one and, for each weight file in order of name: its name, length and
 * header, and 16 samples of 64 KiB spread evenly over its data (all of it where that is less). Reads about a megabyte
 * per file, so it tells checkpoints apart without reading them whole; it is no proof against someone who alters bytes
 * between samples.
 */
export async function hashFiles(files: readonly HashedFile[], config: Uint8Array = new Uint8Array(0)): Promise<string> {
  const breathe = breather();
  const hash = createHash('sha256');
  hash.update(config);
  for (const file of [...files].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    hash.update(`\0${basename(file.path)}\0${file.length}\0`);
    hash.update(await file.readBytes(0, file.dataOffset));
    const data = file.length - file.dataOffset;
    const sampled = data > SAMPLES * SAMPLE_BYTES;
    const step = sampled ? (data - SAMPLE_BYTES) / (SAMPLES - 1) : SAMPLE_BYTES;
    for (let i = 0; i < SAMPLES; i++) {
      const offset = file.dataOffset + Math.floor(i * step);
      if (offset >= file.length) break;
      hash.update(await file.readBytes(offset, Math.min(SAMPLE_BYTES, file.length - offset)));
      await breathe();
    }
  }
  return hash.digest('hex');
}
