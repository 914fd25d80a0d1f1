import { footprint, memoryRatio } from '../../dist/cli/bench/footprint.js';
import { single } from '../../dist/cli/bench/report.js';
import { spread } from '../../dist/cli/bench/rounds.js';
import { line, type Findings } from '../lines.js';
import { convertedModel, randomModel } from '../models.js';
import type { Setting } from '../setting.js';

const TIMES = 3;

/** Time and memory that opening takes, of the GGUF file and of the folder converted from it. */
export async function opening({ signal }: Setting): Promise<Findings> {
  const gguf = await randomModel('1.1b', 'gguf', signal);
  const converted = await convertedModel(gguf, signal);
  const of = [];
  for (let i = 0; i < TIMES; i++) of.push(await footprint(converted, 'map', signal));
  const slow = await footprint(gguf, 'map', signal);
  const [times, ratio] = [spread(of.map(({ openMs }) => openMs)), spread(of.map(memoryRatio))];
  const withText = spread(of.map(({ openMs, encodeMs }) => openMs + (encodeMs ?? 0)));
  const rss = spread(of.map(({ peakRss }) => peakRss / 1e6));
  return {
    measurements: [
      { work: 'opening', engine: '1.1B converted', unit: 'ms', ...times },
      { work: 'opening and encoding the first text', engine: '1.1B converted', unit: 'ms', ...withText },
      single('opening', '1.1B GGUF', slow.openMs, 'ms'),
      { work: 'peak RSS', engine: '1.1B converted', unit: 'MB', ...rss },
      single('peak RSS', '1.1B GGUF', slow.peakRss / 1e6, 'MB'),
    ],
    lines: [
      line({
        work: 'peak RSS over start, weights and cache, converted 1.1B',
        ours: rss.median,
        unit: 'MB',
        figure: { ...ratio, unit: '×' },
        bound: 1.1,
        direction: 'at most',
      }),
      line({
        work: 'opening a converted 1.1B',
        ours: times.median,
        unit: 'ms',
        figure: { ...times, unit: 'ms' },
        bound: 100,
        direction: 'at most',
      }),
    ],
  };
}
