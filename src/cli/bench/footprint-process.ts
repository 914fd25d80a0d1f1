// Opens a model, lets it write a little, and tells on standard output what that took, as JSON: node footprint-process.js
// PATH map|copy. A process of its own, as the most memory that a process ever held is all that the system can tell.
import { loadModel } from '../../opened-model.js';
import { peakMemoryBytes } from '../generate/statistics.js';
import type { Footprint } from './footprint.js';

/** Enough to have used every weight, and a page of the cache. */
const TOKENS = 16;

const [path, load] = process.argv.slice(2);
const rssBefore = process.memoryUsage.rss();
const started = performance.now();
const model = await loadModel(path, { load: load === 'copy' ? 'copy' : 'map' });
const openMs = performance.now() - started;
await model.generate(Int32Array.of(1), { maxTokens: TOKENS, temperature: 0, ignoreEos: true });
const held = model.memory().objects() as { bytes: number }[];
const { numHiddenLayers, numKeyValueHeads, headDim } = model.config;
const footprint: Footprint = {
  openMs,
  rssBefore,
  peakRss: peakMemoryBytes(),
  weights: held.reduce((sum, { bytes }) => sum + bytes, 0),
  cache: numHiddenLayers * 2 * numKeyValueHeads * headDim * 4 * 64,
};
process.stdout.write(JSON.stringify(footprint));
