import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { convertCheckpoint, makeWeights, type WeightFormat, type WeightShape } from '../dist/index.js';

/** Random-weight models stay here from run to run: some 5 GB. */
const FOLDER = fileURLToPath(new URL('../build/bench/', import.meta.url));

/** A model of random weights, made where it is not there yet. */
export async function randomModel(shape: WeightShape, format: WeightFormat, signal: AbortSignal): Promise<string> {
  const path = join(FOLDER, format === 'gguf' ? `${shape}.gguf` : `${shape}-${format}`);
  if (existsSync(path)) return path;
  await mkdir(FOLDER, { recursive: true });
  await makeWeights(path, { shape, format, signal });
  return path;
}

/** The same weights as a folder in compute layout. */
export async function convertedModel(from: string, signal: AbortSignal): Promise<string> {
  const path = `${from.replace(/\.gguf$/, '')}-converted`;
  if (!existsSync(path)) await convertCheckpoint(from, path, { signal });
  return path;
}
