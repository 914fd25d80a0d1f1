import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What opening a model, encoding a text and writing a few tokens took; bytes. */
export interface Footprint {
  readonly openMs: number;
  /** The first text, for which a vocabulary may first have to be read; null where there is none. */
  readonly encodeMs: number | null;
  /** Resident before the model was opened. */
  readonly rssBefore: number;
  readonly peakRss: number;
  /** Of all that the model keeps. */
  readonly weights: number;
  /** Of keys and values. */
  readonly cache: number;
}

const PROCESS = fileURLToPath(new URL('./footprint-process.js', import.meta.url));

/** Opens a model in a fresh process. */
export function footprint(path: string, load: 'map' | 'copy', signal?: AbortSignal): Promise<Footprint> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [PROCESS, path, load], { signal }, (error, stdout, stderr) => {
      if (!error) return resolve(JSON.parse(stdout) as Footprint);
      reject(signal?.aborted ? signal.reason : new Error(`${path} did not open by itself: ${stderr}`, { cause: error }));
    });
  });
}

/** The most memory held, over that before and what weights and cache need. */
export const memoryRatio = ({ rssBefore, peakRss, weights, cache }: Footprint): number =>
  peakRss / (rssBefore + weights + cache);
