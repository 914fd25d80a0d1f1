// Opens a model, lets it encode a text and write a little, and tells on standard output what that took, as JSON: node footprint-process.js
// PATH map|copy. A process of its own, as the most memory that a process ever held is all that the system can tell.
import { TokenizerError } from '../../base/errors.js';
import { loadModel, type OpenedModel } from '../../opened-model.js';
import { peakMemoryBytes } from '../generate/statistics.js';
import type { Footprint } from './footprint.js';

/** Enough to have used every weight, and a page of the cache. */
const TOKENS = 16;

const [path, load] = process.argv.slice(2);
const rssBefore = process.memoryUsage.rss();
const started = performance.now();
const model = await loadModel(path, { load: load === 'copy' ? 'copy' : 'map' });
const openMs = performance.now() - started;
const encodeMs = firstEncoding(model);
await model.generate(Int32Array.of(1), { maxTokens: TOKENS, temperature: 0, ignoreEos: true });
const held = model.memory().objects() as { bytes: number }[];
const { numHiddenLayers, numKeyValueHeads, headDim } = model.config;
const footprint: Footprint = {
  openMs,
  encodeMs,
  rssBefore,
  peakRss: peakMemoryBytes(),
  weights: held.reduce((sum, { bytes }) => sum + bytes, 0),
  cache: numHiddenLayers * 2 * numKeyValueHeads * headDim * 4 * 64,
};
process.stdout.write(JSON.stringify(footprint));

/** Milliseconds, or null of a model without tokenizer. */
function firstEncoding({ tokenizer }: OpenedModel): number | null {
  const begun = performance.now();
  try {
    tokenizer.encode('Once upon a time');
  } catch (error) {
    if (error instanceof TokenizerError) return null;
    throw error;
  }
  return performance.now() - begun;
}
