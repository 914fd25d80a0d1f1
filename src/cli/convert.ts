import { convertCheckpoint, type ConversionResult } from '../checkpoint/convert-checkpoint.js';
import { bytes } from './bytes.js';
import { followed } from './followed.js';
import { textPairs } from './text-table.js';

/** Writes a checkpoint in compute layout and prints what is in the new folder. */
export async function runConvert(from: string, to: string, { json, quiet }: { json?: boolean; quiet?: boolean }): Promise<void> {
  await followed(quiet, async (progress, signal) => {
    const result = await convertCheckpoint(from, to, {
      signal,
      onProgress: (written, all) => progress.show('writing', written, all),
    });
    progress.clear();
    process.stdout.write(`${json ? JSON.stringify(result) : inWords(result)}\n`);
  });
}

function inWords({ path, bytes: size, matrices, record }: ConversionResult): string {
  return textPairs([
    ['written', path],
    ['weights', bytes(size)],
    ['matrices', Object.entries(matrices).map(([form, count]) => `${count} in ${form}`).join(', ')],
    ['made of', `${record.model}, hash ${record.hash}`],
  ]);
}
