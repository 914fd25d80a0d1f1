import { statSync } from 'node:fs';
import { quantizeCheckpoint } from '../quantization/quantize-checkpoint.js';
import { UsageError } from './failure.js';
import { followed } from './followed.js';
import { textTable } from './text-table.js';

/** Writes the INT4 twin of a float checkpoint and prints what that did to each matrix. */
export async function runQuantize(
  from: string,
  to: string,
  { groupSize, quiet }: { groupSize?: number; quiet?: boolean },
): Promise<void> {
  if (!statSync(from).isDirectory()) throw new UsageError(`from: found the file ${from}, expected a folder`);
  await followed(quiet, async (progress, signal) => {
    const result = await quantizeCheckpoint(from, to, {
      groupSize,
      signal,
      onProgress: (written, all) => progress.show('writing', written, all),
    });
    progress.clear();
    const rows = result.matrices.map((matrix) => ({
      matrix: matrix.name,
      out: matrix.outFeatures,
      in: matrix.inFeatures,
      'relative error': matrix.relativeError.toFixed(4),
      'bits per weight': matrix.bitsPerWeight.toFixed(2),
    }));
    process.stdout.write(`${textTable(rows)}\n\n`);
    process.stdout.write(`${result.path}: relative error ${result.relativeError.toFixed(4)} over all matrices\n`);
  });
}
