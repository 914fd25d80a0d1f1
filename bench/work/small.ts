import { bundled, loadModel, type OpenedModel } from '../../dist/index.js';
import { measured } from '../../dist/cli/bench/report.js';
import { inRounds, rateOf, type Contender } from '../../dist/cli/bench/rounds.js';
import { line, type Findings } from '../lines.js';
import { randomModel } from '../models.js';
import { Peer } from '../peer.js';
import { contendersOf, type Setting } from '../setting.js';
import { against } from './large.js';

const TOKENS = 256;
const LLAMA = 'node-llama-cpp';

/** Greedy texts of small models through what users call: `generate`, and `evaluate` of node-llama-cpp. */
export async function small({ llama, rounds, signal }: Setting): Promise<Findings> {
  const path = await randomModel('24m', 'gguf', signal);
  const ours = await Promise.all(
    (['fast', 'exact'] as const).map(async (mode) => greedy(`24M ${mode}`, await loadModel(path, { mode, signal }))),
  );
  const tale = greedy('bundled INT4, exact', await loadModel(bundled.storytellerInt4, { signal }));
  if (llama instanceof Peer) {
    await llama.ask('openText', { path });
    await llama.ask('open', { path, flash: ['auto'] });
  }
  const text = contendersOf(llama, (peer) => [{ name: LLAMA, burst: () => peer.ask('greedy', { tokens: 64 }) }]);
  const raw = contendersOf(llama, (peer) => [
    { name: `${LLAMA}, context alone`, burst: () => peer.ask('decode', { flash: 'auto', context: 1 }) },
  ]);
  const contenders = [...ours, tale, ...text, ...raw];
  const rates = await inRounds(contenders, rounds('small models'));
  const own = (name: string, work: string, bound: number) => {
    const figure = { ...rateOf(rates, name), unit: 'tok/s' };
    return line({ work, ours: figure.median, unit: 'tok/s', figure, bound });
  };
  return {
    measurements: contenders.map(({ name }) => measured('greedy text', name, rates, name)),
    lines: [
      against('24M Q4_0, greedy text, fast', rates, ours[0].name, text, llama, 15),
      own(ours[0].name, '24M Q4_0, greedy text, fast, by itself', 1200),
      own(tale.name, `bundled INT4 model, greedy, ${TOKENS} tokens through generate, exact`, 3000),
    ],
  };
}

/** Tokens a second after the first. */
function greedy(name: string, model: OpenedModel): Contender {
  const options = { maxTokens: TOKENS, temperature: 0, ignoreEos: true };
  return { name, burst: async () => (await model.generate(Int32Array.of(1), options)).timings.decodeTokensPerSecond };
}
