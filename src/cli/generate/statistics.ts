import { readFileSync } from 'node:fs';
import { resourceUsage } from 'node:process';
import type { GenerationResult, StopReason } from '../../generation/result.js';
import { textPairs, textTable } from '../text-table.js';

const STOP_REASONS: Readonly<Record<StopReason, string>> = {
  eos: 'end of text (EOS)',
  'stop-string': 'stop string',
  'stop-id': 'stop token',
  'max-tokens': 'max tokens',
  'context-full': 'context full',
  cancelled: 'cancelled by Ctrl-C, text kept',
};

/**
 * Most memory that this process has held in RAM at once, in bytes. Linux hands the parent's on to a child in
 * `resourceUsage`, but not in /proc.
 */
export function peakMemoryBytes(): number {
  const own = process.platform === 'linux' ? /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) : null;
  return (own ? Number(own[1]) : resourceUsage().maxRSS) * 1024;
}

const rate = (perSecond: number): string => (perSecond > 0 ? `${perSecond.toFixed(1)} tok/s` : '–');
const duration = (ms: number): string => (ms < 1000 ? `${ms.toFixed(1)} ms` : `${(ms / 1000).toFixed(2)} s`);

/** What a run was like, one figure a line. */
export function statistics({ timings, stopReason }: GenerationResult): string {
  return textPairs([
    ['prompt tokens', String(timings.promptTokens)],
    ['generated tokens', String(timings.generatedTokens)],
    ['time to first token', duration(timings.timeToFirstTokenMs)],
    ['prefill', rate(timings.prefillTokensPerSecond)],
    ['decode', rate(timings.decodeTokensPerSecond)],
    ['ms per token', timings.msPerToken > 0 ? timings.msPerToken.toFixed(2) : '–'],
    ['total time', duration(timings.totalMs)],
    ['peak memory', `${(peakMemoryBytes() / 1e6).toFixed(0)} MB`],
    ['stopped by', STOP_REASONS[stopReason]],
  ]);
}

/** Each step's token with its log-probability and what else was likely; empty where that was not asked for. */
export function stepTable({ steps }: GenerationResult, label: (id: number) => string): string {
  if (!steps.some(({ logProbability }) => logProbability !== null)) return '';
  return textTable(
    steps.map(({ index, id, logProbability, alternatives }) => ({
      step: index,
      token: label(id),
      'ln p': (logProbability ?? NaN).toFixed(4),
      ...(alternatives.length === 0
        ? {}
        : { 'likeliest, with ln p': alternatives.map((one) => `${one.token} ${one.logProbability.toFixed(3)}`).join('  ') }),
    })),
  );
}

/** A result as plain JSON. Steps are part of it where they hold more than the ids do. */
export function toJson(result: GenerationResult): Record<string, unknown> {
  const { text, ids, stopReason, seed, timings, steps } = result;
  const detailed = steps.some(({ logProbability }) => logProbability !== null);
  return { text, ids: [...ids], stopReason, seed, timings, ...(detailed ? { steps } : {}) };
}
