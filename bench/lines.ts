import { short, type Measurement } from '../dist/cli/bench/report.js';
import type { Spread } from '../dist/cli/bench/rounds.js';

/** A line of the table: what was asked for, and what was seen. */
export interface Line {
  readonly work: string;
  /** Medians of each by itself; `ratio` is the median of ratios, round by round. */
  readonly ours: number;
  readonly peer: { readonly name: string; readonly value: number } | null;
  readonly unit: string;
  /** What is held against the bound: a ratio, a share, or `ours` itself. */
  readonly figure: Spread & { readonly unit: string };
  readonly bound: number;
  readonly direction: 'at least' | 'at most';
  readonly met: boolean;
}

/** A line that cannot be had here. */
export interface Absence {
  readonly work: string;
  readonly reason: string;
}

/** Whatever one group of measurements gives. */
export interface Findings {
  readonly measurements: readonly Measurement[];
  readonly lines: readonly (Line | Absence)[];
}

/** A line; `or` is another way to meet it. */
export function line(parts: Omit<Line, 'met' | 'direction' | 'peer'> & Partial<Pick<Line, 'direction' | 'peer'>>, or: boolean = false): Line {
  const { figure, bound, direction = 'at least', peer = null } = parts;
  const rounded = { ...figure, median: short(figure.median), low: short(figure.low), high: short(figure.high) };
  const met = or || (direction === 'at least' ? figure.median >= bound : figure.median <= bound);
  return { ...parts, ours: short(parts.ours), peer: peer && { ...peer, value: short(peer.value) }, figure: rounded, direction, met };
}

/** How a line reads in a table. */
export function lineRow(one: Line | Absence): Record<string, unknown> {
  if ('reason' in one) return { work: one.work, ours: '', unit: '', peer: one.reason, 'peer’s': '', figure: '', range: '', asked: '', met: '–' };
  const { work, ours, unit, peer, figure, direction, bound, met } = one;
  return {
    work,
    ours: String(ours),
    unit,
    peer: peer?.name ?? '',
    'peer’s': peer ? String(peer.value) : '',
    figure: `${figure.median} ${figure.unit}`,
    range: figure.low === figure.high ? '' : `${figure.low} to ${figure.high}`,
    asked: `${direction} ${bound}`,
    met: met ? 'yes' : 'NO',
  };
}
