import { breather } from '../../base/event-loop.js';
import type { Mode } from '../../matrix/storage.js';
import { native } from '../../native/native.js';
import { ReadBandwidth } from '../../native/read-bandwidth.js';
import { footprint, memoryRatio } from './footprint.js';
import { loopDelayDuring } from './loop-delay.js';
import { benchReport, measured, single, type BenchReport, type Measurement } from './report.js';
import { inRounds, ratios, scaled, spread, type Contender, type Rates, type RoundOptions } from './rounds.js';
import { Subject } from './subject.js';

const MODES: readonly Mode[] = ['fast', 'exact'];
/** Positions behind which tokens are decoded unless said otherwise. */
export const NEAR = 64;
const CONTEXTS = [64, 512, 2048, 8192];
const PROMPT = 512;
/** Milliseconds for which the event loop is looked at. */
const DELAY_MS = 1500;
/** Room that a burst wants at the end of a context. */
const BURST_ROOM = 8;

export interface MeasureOptions {
  readonly quick: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (work: string, done: number, total: number) => void;
}

/** What is measured of one model, one group after the other. */
export async function measureEngine(path: string, { quick, signal, onProgress }: MeasureOptions): Promise<BenchReport> {
  const breathe = breather(signal);
  const subject = await Subject.open(path, signal);
  const bandwidth = bandwidthContender(await ReadBandwidth.open(breathe));
  const rounds = (work: string): RoundOptions => ({
    rounds: quick ? 3 : 7,
    signal,
    onBurst: (done, total) => onProgress?.(work, done, total),
  });
  const measurements = [
    ...(await decoding(subject, bandwidth, rounds('decoding'))),
    ...(await prefilling(subject, rounds('prefill'))),
    ...(await overContext(subject, rounds('over the context'))),
    single('event-loop delay, p99', 'fast', await delayOfLoop(subject, signal), 'ms'),
    ...(await opening(path, signal)),
  ];
  return benchReport(measurements, { record: subject.record(), quick });
}

/** The memory's bandwidth as a contender; bytes a second. */
export const bandwidthContender = (bandwidth: ReadBandwidth): Contender => ({
  name: 'memory',
  burst: async () => bandwidth.measure(),
});

/** The same work with another number of threads. */
export function withThreads({ name, burst }: Contender, threads: number): Contender {
  const addon = native();
  return {
    name: `${name}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
    burst: async () => {
      const usual = addon?.info().threads ?? 1;
      addon?.setThreads(threads);
      try {
        return await burst();
      } finally {
        addon?.setThreads(usual);
      }
    },
  };
}

async function decoding(subject: Subject, memory: Contender, options: RoundOptions): Promise<Measurement[]> {
  const each = await Promise.all(MODES.map((mode) => subject.decoding(mode, { context: near(subject), signal: options.signal })));
  const single = each.map((one) => withThreads(one, 1));
  const rates = await inRounds([memory, ...each, ...single], options);
  const gigabytes = new Map([['memory', (rates.get('memory') ?? []).map((rate) => rate / 1e9)]]);
  return [
    measured('read bandwidth', 'memory', gigabytes, 'memory', 'GB/s'),
    ...[...each, ...single].map(({ name }) => measured('decode', name, rates, name)),
    ...MODES.map((mode) => shareOfBandwidth(subject, rates, mode)),
    ...each.map(({ name }, i) => ({ work: 'all threads over 1', engine: name, unit: '×', ...ratios(rates, name, single[i].name) })),
  ];
}

/** Bytes of weights and cache that decoding reads a second, as a share of what memory gives. */
export function shareOfBandwidth(subject: Subject, rates: Rates, name: string, work: string = 'decode, share of bandwidth'): Measurement {
  const percent = 100 * subject.bytesPerToken(near(subject));
  return { work, engine: name, unit: '%', ...scaled(ratios(rates, name, 'memory'), percent) };
}

const near = ({ contextLength }: Subject): number => Math.min(NEAR, Math.floor(contextLength / 2));

async function prefilling(subject: Subject, options: RoundOptions): Promise<Measurement[]> {
  const tokens = Math.min(PROMPT, subject.contextLength);
  const rates = await inRounds(MODES.map((mode) => subject.prefill(mode, tokens)), options);
  return MODES.map((mode) => measured(`prefill ${tokens}`, mode, rates, mode));
}

/** Milliseconds per token behind contexts of several lengths. */
export async function overContext(subject: Subject, options: RoundOptions): Promise<Measurement[]> {
  const lengths = CONTEXTS.filter((context) => context <= subject.contextLength);
  const contenders = await Promise.all(
    lengths.map(async (context) => {
      const room = Math.min(context, subject.contextLength - BURST_ROOM);
      const { burst } = await subject.decoding('fast', { context: room, signal: options.signal });
      return { name: String(context), burst };
    }),
  );
  const rates = await inRounds(contenders, options);
  return contenders.map(({ name }) => ({
    work: `time per token at context ${name}`,
    engine: 'fast',
    unit: 'ms',
    ...spread((rates.get(name) ?? []).map((rate) => 1000 / rate)),
  }));
}

/** While a text is generated. */
export function delayOfLoop(subject: Subject, signal?: AbortSignal): Promise<number> {
  const model = subject.opened('fast');
  const until = performance.now() + DELAY_MS;
  return loopDelayDuring(async () => {
    const options = { maxTokens: subject.contextLength, temperature: 0, ignoreEos: true, signal };
    for await (const _ of model.generate(Int32Array.of(1), options)) if (performance.now() > until) break;
    signal?.throwIfAborted();
  });
}

async function opening(path: string, signal?: AbortSignal): Promise<Measurement[]> {
  const of = await footprint(path, 'map', signal);
  return [
    single('opening', 'map', of.openMs, 'ms'),
    ...(of.encodeMs === null ? [] : [single('encoding of the first text', 'map', of.encodeMs, 'ms')]),
    single('peak RSS', 'map', of.peakRss / 1e6, 'MB'),
    single('peak RSS over start, weights and cache', 'map', memoryRatio(of), '×'),
  ];
}
