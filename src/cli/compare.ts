import { readFile } from 'node:fs/promises';
import { evaluateModels, type Evaluation } from '../comparison/evaluate.js';
import type { Mode } from '../matrix/storage.js';
import type { CacheType } from '../native/native.js';
import { loadModel, type OpenedModel } from '../opened-model.js';
import { followed } from './followed.js';
import { textTable } from './text-table.js';

export interface CompareFlags {
  readonly text: string;
  readonly window?: number;
  readonly windows?: number;
  readonly modes?: readonly Mode[];
  readonly caches?: readonly CacheType[];
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** Evaluates models on a text, the first being the reference, and prints a line for each. */
export async function runCompare(
  folders: readonly string[],
  { text, window, windows, modes = ['exact'], caches = ['f32'], json, quiet }: CompareFlags,
): Promise<void> {
  const words = await readFile(text, 'utf8');
  await followed(quiet, async (progress, signal) => {
    const models: OpenedModel[] = [];
    for (const folder of folders) {
      for (const mode of modes) {
        for (const cache of caches) models.push(await loadModel(folder, { mode, cache, signal }));
      }
    }
    const [reference, ...others] = models;
    const evaluation = await evaluateModels([reference, ...others], words, {
      windowLength: window,
      windows,
      signal,
      onProgress: (seen, all) => progress.show('comparing', seen, all),
    });
    progress.clear();
    process.stdout.write(`${json ? JSON.stringify(evaluation) : inWords(evaluation)}\n`);
  });
}

function inWords({ models, windows, windowLength }: Evaluation): string {
  const rows = models.map(({ record, loss, perplexity, meanKl, topAgreement }) => ({
    model: record.model,
    precision: record.precision,
    mode: record.mode,
    cache: record.cache,
    'loss (nats)': loss.toFixed(4),
    perplexity: perplexity.toFixed(3),
    'KL (nats)': meanKl.toFixed(5),
    'top-1 kept': `${(100 * topAgreement).toFixed(2)} %`,
  }));
  const about = `means over ${windows} windows of ${windowLength} tokens; KL and top-1 against the first model`;
  return `${textTable(rows)}\n\n${about}`;
}
