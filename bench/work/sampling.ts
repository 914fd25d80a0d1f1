import { Sampler } from '../../dist/generation/sampler/chain.js';
import { resolveOptions } from '../../dist/generation/options.js';
import { measured } from '../../dist/cli/bench/report.js';
import { inRounds, spread } from '../../dist/cli/bench/rounds.js';
import { line, type Findings } from '../lines.js';
import { timesPerSecond } from '../peer-process.js';
import type { Setting } from '../setting.js';

const VOCABULARY = 128_256;

/** Choosing a token out of a large vocabulary. */
export async function sampling({ rounds }: Setting): Promise<Findings> {
  // as spread as those of a trained model: most far below the best
  const logits = Float32Array.from({ length: VOCABULARY }, (_, i) => 12 * Math.sin(i * 0.7) ** 3 + 3 * Math.sin(i * 1.3));
  const options = { temperature: 0.8, topK: 40, topP: 0.95, seed: 1 };
  const sampler = new Sampler(resolveOptions(options, { vocabSize: VOCABULARY, contextLength: 1024 }), 1, []);
  const rates = await inRounds(
    [{ name: 'sampler', burst: () => timesPerSecond(() => sampler.next(logits)) }],
    rounds('sampling'),
  );
  const times = spread((rates.get('sampler') ?? []).map((rate) => 1000 / rate));
  const work = `temperature, top-k 40, top-p over ${VOCABULARY.toLocaleString('en')} logits`;
  return {
    measurements: [{ ...measured(work, 'sampler', rates, 'sampler', 'ms'), ...times }],
    lines: [line({ work, ours: times.median, unit: 'ms', figure: { ...times, unit: 'ms' }, bound: 1, direction: 'at most' })],
  };
}
