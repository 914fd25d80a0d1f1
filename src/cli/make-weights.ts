import { makeWeights, type MadeWeights, type MakeWeightsOptions } from '../checkpoint/random/make-weights.js';
import { bytes } from './bytes.js';
import { followed } from './followed.js';
import { textPairs } from './text-table.js';

export interface MakeWeightsFlags extends Pick<MakeWeightsOptions, 'shape' | 'format' | 'seed'> {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** Writes a model of random weights and prints how large it is. */
export async function runMakeWeights(to: string, { shape, format, seed, json, quiet }: MakeWeightsFlags): Promise<void> {
  await followed(quiet, async (progress, signal) => {
    const made = await makeWeights(to, {
      shape,
      format,
      seed,
      signal,
      onProgress: (written, all) => progress.show('writing', written, all),
    });
    progress.clear();
    process.stdout.write(`${json ? JSON.stringify(made) : inWords(made)}\n`);
  });
}

function inWords({ path, parameters, bytes: size, seed }: MadeWeights): string {
  return textPairs([
    ['written', path],
    ['parameters', parameters.toLocaleString('en')],
    ['weights', `${bytes(size)}, ${((8 * size) / parameters).toFixed(2)} bits per weight`],
    ['seed', String(seed)],
  ]);
}
