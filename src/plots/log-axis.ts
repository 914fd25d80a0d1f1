import { inWords, logTicks, rounded } from './numbers.js';

/** A logarithmic axis between two ends, with its ticks as numbers in words. */
export function logAxis(from: number, to: number): object {
  const ticks = logTicks(from, to);
  return {
    type: 'log',
    range: [Math.log10(from), Math.log10(to)].map((end) => rounded(end)),
    tickmode: 'array',
    tickvals: ticks,
    ticktext: ticks.map((tick) => inWords(tick)),
  };
}
