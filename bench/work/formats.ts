import { NEAR, shareOfBandwidth } from '../../dist/cli/bench/measure-engine.js';
import { measured } from '../../dist/cli/bench/report.js';
import { inRounds, rateOf, ratios } from '../../dist/cli/bench/rounds.js';
import { Subject } from '../../dist/cli/bench/subject.js';
import { line, type Findings } from '../lines.js';
import { randomModel } from '../models.js';
import type { Setting } from '../setting.js';

/** Decoding of the 1.1B model in 4 bits, in 3.5, and in bfloat16. */
export async function formats({ memory, rounds, signal }: Setting): Promise<Findings> {
  const [int4, mixed, bf16] = await Promise.all(
    (['int4', 'mixed', 'bf16'] as const).map(async (format) => {
      const subject = await Subject.open(await randomModel('1.1b', format, signal), signal);
      const { burst } = await subject.decoding('fast', { context: NEAR, signal });
      return { subject, contender: { name: `1.1B ${format}, fast`, burst } };
    }),
  );
  const contenders = [int4, mixed, bf16].map(({ contender }) => contender);
  const rates = await inRounds([memory, ...contenders], rounds('1.1B in other forms'));
  const share = shareOfBandwidth(bf16.subject, rates, bf16.contender.name);
  const medianOf = (name: string): number => rateOf(rates, name).median;
  return {
    measurements: [...contenders.map(({ name }) => measured('decode', name, rates, name)), share],
    lines: [
      line({
        work: '1.1B mixed 3.5 bits over 4 bits, decode, fast',
        ours: medianOf(mixed.contender.name),
        unit: 'tok/s',
        figure: { ...ratios(rates, mixed.contender.name, int4.contender.name), unit: '×' },
        bound: 1.05,
      }),
      line({ work: '1.1B bf16, decode: share of read bandwidth', ours: medianOf(bf16.contender.name), unit: 'tok/s', figure: share, bound: 80 }),
    ],
  };
}
