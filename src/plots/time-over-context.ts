import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { inWords, logTicks, rounded } from './numbers.js';
import { numberIn, orNull, readRows, text, type TableLike } from './rows.js';
import { CATEGORICAL } from './theme.js';
import { plainText } from './token-text.js';

/** Time per token behind a context. */
export interface ContextTimeRow {
  /** Positions in the cache. */
  readonly context: number;
  readonly milliseconds: number;
  /** Of which engine; for several lines. */
  readonly engine?: string;
}

/**
 * Milliseconds per token over the length of the context: what reading weights takes is there at any length, what reading
 * keys and values takes grows along a straight line. Throws OptionError and ShapeError for bad rows.
 */
export function plotTimeOverContext(input: readonly ContextTimeRow[] | TableLike, { title }: FigureOptions = {}): Figure {
  const columns = { context: numberIn(1), milliseconds: numberIn(0), engine: orNull(text) };
  const rows = readRows(input, columns, 'plotTimeOverContext').toSorted((a, b) => a.context - b.context);
  const engines = [...new Set(rows.map(({ engine }) => engine))];
  const [first, last] = [rows[0], rows[rows.length - 1]];
  const ticks = [...new Set(rows.map(({ context }) => context))];
  return figureOf({
    title: title ?? 'Time per token over the context',
    subtitle: `${inWords(first.milliseconds)} ms behind ${first.context} tokens, ${inWords(last.milliseconds)} ms behind ${last.context}`,
    data: engines.map((engine, i) => {
      const own = rows.filter((row) => row.engine === engine);
      return {
        type: 'scatter',
        mode: 'lines+markers',
        name: plainText(engine ?? ''),
        x: own.map(({ context }) => context),
        y: own.map(({ milliseconds }) => rounded(milliseconds)),
        line: { color: CATEGORICAL[i % CATEGORICAL.length], width: 2 },
        marker: { size: 8 },
        hovertemplate: '%{x} tokens: %{y:.3~g} ms<extra></extra>',
      };
    }),
    layout: {
      xaxis: {
        title: { text: 'context / tokens (logarithmic)' },
        type: 'log',
        range: [first.context / 1.3, last.context * 1.3].map((end) => rounded(Math.log10(end))),
        tickmode: 'array',
        ...(ticks.length <= 8 ? labelled(ticks) : labelled(logTicks(first.context, last.context))),
      },
      yaxis: { title: { text: 'time / ms' }, rangemode: 'tozero' },
    },
    height: 380,
    legend: engines.length > 1,
  });
}

const labelled = (ticks: readonly number[]): object => ({ tickvals: ticks, ticktext: ticks.map(String) });
