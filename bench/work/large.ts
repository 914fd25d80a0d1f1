import type { Mode } from '../../dist/matrix/storage.js';
import { delayOfLoop, NEAR, overContext, shareOfBandwidth, withThreads } from '../../dist/cli/bench/measure-engine.js';
import { measured, single, type Measurement } from '../../dist/cli/bench/report.js';
import { inRounds, rateOf, ratios, spread, type Contender, type Rates } from '../../dist/cli/bench/rounds.js';
import { Subject } from '../../dist/cli/bench/subject.js';
import { queued } from '../../dist/model/run-queue.js';
import { line, type Absence, type Findings, type Line } from '../lines.js';
import { randomModel } from '../models.js';
import { Peer } from '../peer.js';
import { contendersOf, type Setting } from '../setting.js';
import { besideBusyProcess } from './busy-process.js';

const MODES: readonly Mode[] = ['fast', 'exact'];
const PROMPT = 512;
const MODEL = '1.1B Q4_0';
const LLAMA = 'node-llama-cpp';
/** The first is its default. */
const FLASH = ['auto', false] as const;
const llamaName = (flash: 'auto' | boolean): string => (flash === 'auto' ? LLAMA : `${LLAMA}, flash attention off`);

/** Decoding and prefill of the 1.1B model, beside node-llama-cpp on the same file. */
export async function large(setting: Setting): Promise<Findings> {
  const path = await randomModel('1.1b', 'gguf', setting.signal);
  const subject = await Subject.open(path, setting.signal);
  if (setting.llama instanceof Peer) await setting.llama.ask('open', { path, flash: FLASH });
  const findings = [await decoding(subject, setting), await prefill(subject, setting), await disturbed(subject, setting)];
  const overAll = await overContext(subject, setting.rounds('1.1B over the context'));
  const delay = await delayOfLoop(subject, setting.signal);
  const composed = await inRounds([await composedDecoding(subject)], setting.rounds('1.1B, composed', true));
  return {
    measurements: [
      ...findings.flatMap(({ measurements }) => measurements),
      ...overAll,
      measured('decode', 'composed', composed, 'composed'),
      single('event-loop delay, p99', 'fast', delay, 'ms'),
    ],
    lines: [
      ...findings.flatMap(({ lines }) => lines),
      line({
        work: 'event-loop delay, p99, during 1.1B decode',
        ours: delay,
        unit: 'ms',
        figure: { median: delay, low: delay, high: delay, unit: 'ms' },
        bound: 10,
        direction: 'at most',
      }),
    ],
  };
}

async function decoding(subject: Subject, { memory, llama, rounds, signal }: Setting): Promise<Findings> {
  const each = await Promise.all(MODES.map((mode) => subject.decoding(mode, { context: NEAR, signal })));
  const products = MODES.map((mode) => subject.products(mode));
  const alone = each.map((one) => withThreads(one, 1));
  const peers = contendersOf(llama, (peer) =>
    FLASH.map((flash) => ({ name: llamaName(flash), burst: () => peer.ask('decode', { flash, context: NEAR }) })),
  );
  const { burst } = await subject.decoding('fast', { context: NEAR, batch: 8, signal });
  const batch = { name: 'fast, batch of 8', burst };
  const contenders = [memory, ...each, ...products, ...alone, batch, ...peers];
  const rates = await inRounds(contenders, rounds('1.1B decode'));
  const share = shareOfBandwidth(subject, rates, 'fast');
  const shareOfProducts = ofWeights(subject, rates, products[0].name);
  const twice = ratios(rates, 'fast', alone[0].name);
  const medianOf = (name: string): number => rateOf(rates, name).median;
  return {
    measurements: [
      { work: 'read bandwidth', engine: 'memory', unit: 'GB/s', ...spread((rates.get('memory') ?? []).map((rate) => rate / 1e9)) },
      ...contenders.slice(1).map(({ name }) => measured('decode', name, rates, name)),
      ...MODES.map((mode) => shareOfBandwidth(subject, rates, mode)),
      ...products.map(({ name }) => ofWeights(subject, rates, name)),
    ],
    lines: [
      line({ work: `${MODEL}, decode, fast: share of read bandwidth`, ours: medianOf('fast'), unit: 'tok/s', figure: share, bound: 80 }),
      line({
        work: `${MODEL}, products alone, fast: share of read bandwidth`,
        ours: medianOf(products[0].name),
        unit: 'tok/s',
        figure: shareOfProducts,
        bound: 85,
      }),
      against(`${MODEL}, decode, fast`, rates, 'fast', peers, llama, 1.5),
      against(`${MODEL}, decode, exact`, rates, 'exact', peers, llama, 1),
      line({
        work: `${MODEL}, batch of 8 over one, fast`,
        ours: medianOf(batch.name),
        unit: 'tok/s',
        figure: { ...ratios(rates, batch.name, 'fast'), unit: '×' },
        bound: 1.6,
      }),
      line(
        {
          work: '1.1B, decode, fast: 2 threads over 1, or 80 % of read bandwidth',
          ours: medianOf('fast'),
          unit: 'tok/s',
          figure: { ...twice, unit: '×' },
          bound: 1.6,
        },
        share.median >= 80,
      ),
    ],
  };
}

/** Bytes of the weights that products read a second, as a share of what memory gives. */
function ofWeights(subject: Subject, rates: Rates, name: string): Measurement {
  const { median, low, high } = ratios(rates, name, 'memory');
  const percent = 100 * subject.weightBytes;
  return { work: 'share of bandwidth', engine: name, unit: '%', median: percent * median, low: percent * low, high: percent * high };
}

async function prefill(subject: Subject, { llama, rounds }: Setting): Promise<Findings> {
  const peers = contendersOf(llama, (peer) =>
    FLASH.map((flash) => ({ name: llamaName(flash), burst: () => peer.ask('prefill', { flash, tokens: PROMPT }) })),
  );
  const contenders = [...MODES.map((mode) => subject.prefill(mode, PROMPT)), ...peers];
  const rates = await inRounds(contenders, rounds('1.1B prefill', true));
  const bounds = { fast: 1.3, exact: 0.6 };
  return {
    measurements: contenders.map(({ name }) => measured(`prefill ${PROMPT}`, name, rates, name)),
    lines: MODES.map((mode) => against(`${MODEL}, prefill ${PROMPT}, ${mode}`, rates, mode, peers, llama, bounds[mode])),
  };
}

/** A line against the fastest form of a peer. */
export function against(
  work: string,
  rates: Rates,
  ours: string,
  peers: readonly Contender[],
  peer: Peer | { absent: string },
  bound: number,
): Line | Absence {
  if (!(peer instanceof Peer)) return { work, reason: `not measured: ${peer.absent}` };
  const medianOf = (name: string): number => rateOf(rates, name).median;
  const [fastest] = peers.map(({ name }) => ({ name, value: medianOf(name) })).toSorted((a, b) => b.value - a.value);
  const figure = { ...ratios(rates, ours, fastest.name), unit: '×' };
  return line({ work, ours: medianOf(ours), unit: 'tok/s', peer: fastest, figure, bound });
}

/** Decoding while others want the cores: a process that never rests, or more threads than cores. */
async function disturbed(subject: Subject, { rounds, signal }: Setting): Promise<Findings> {
  const usual = await subject.decoding('fast', { context: NEAR, signal });
  const busy = besideBusyProcess(usual);
  const crowded = withThreads(usual, 8);
  const contenders = [usual, ...(busy ? [busy.contender] : []), crowded];
  try {
    const rates = await inRounds(contenders, rounds('1.1B, disturbed'));
    const toLine = (work: string, name: string, bound: number): Line =>
      line({
        work,
        ours: rateOf(rates, name).median,
        unit: 'tok/s',
        figure: { ...ratios(rates, name, usual.name), unit: '×' },
        bound,
      });
    const shared = '1.1B, decode, fast: a core shared with a busy process';
    return {
      measurements: contenders.slice(1).map(({ name }) => measured('decode, disturbed', name, rates, name)),
      lines: [
        busy ? toLine(shared, busy.contender.name, 0.6) : { work: shared, reason: 'not measured: no SIGSTOP on this system' },
        toLine('1.1B, decode, fast: 8 threads', crowded.name, 0.7),
      ],
    };
  } finally {
    busy?.end();
  }
}

/** A token at a time through layers on tfjs. */
async function composedDecoding(subject: Subject): Promise<Contender> {
  const decoder = subject.decoder('exact');
  const model = await decoder.composed();
  const cache = decoder.createSequence();
  const burst = async (): Promise<number> => {
    cache.reset();
    const started = performance.now();
    const tokens = 4;
    for (let id = 0; id < tokens; id++) {
      cache.reserve(1);
      await queued(() => model.forward({ ids: Int32Array.of(id), pos: 1, caches: [cache], tap: null, logits: 'last' }));
      cache.advance(1);
    }
    return (1000 * tokens) / (performance.now() - started);
  };
  return { name: 'composed', burst };
}
