import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { LEVEL_MARGIN, levelLine } from './level-line.js';
import { logAxis } from './log-axis.js';
import { inWords, quantile, rounded } from './numbers.js';
import { numberIn, readRows, text, type TableLike } from './rows.js';
import { STANDS_OUT, USUAL } from './theme.js';
import { tokenAxis, tokenText } from './token-text.js';

/** One generated token and how long it took. */
export interface StepTimeRow {
  readonly token: string;
  /** From asking for the token until it was there. */
  readonly milliseconds: number;
}

/** Times that differ by more than this, largest to median, stand on a logarithmic axis. */
const LOG_RATIO = 8;

/** Milliseconds of every step of a generation, with their median. Throws OptionError and ShapeError for bad rows. */
export function plotStepTimes(steps: readonly StepTimeRow[] | TableLike, { title }: FigureOptions = {}): Figure {
  const rows = readRows(steps, { token: text, milliseconds: numberIn(0) }, 'plotStepTimes');
  const tokens = rows.map(({ token }) => token);
  const times = rows.map(({ milliseconds }) => milliseconds);
  const ascending = times.toSorted((a, b) => a - b);
  const median = quantile(ascending, 0.5);
  const log = ascending[0] > 0 && ascending[ascending.length - 1] > LOG_RATIO * median;
  return figureOf({
    title: title ?? 'Time per generated token',
    subtitle:
      `median ${inWords(median)} ms${median > 0 ? ` (${inWords(1000 / median)} tokens/s)` : ''}, ` +
      `95th percentile ${inWords(quantile(ascending, 0.95))} ms, ` +
      `slowest ${inWords(ascending[ascending.length - 1])} ms`,
    data: [
      {
        type: 'scatter',
        mode: 'markers',
        x: rows.map((_, step) => step),
        y: times.map((time) => rounded(time)),
        customdata: tokens.map(tokenText),
        marker: { color: USUAL, size: 7, opacity: 0.85 },
        hovertemplate: '%{customdata}<br>step %{pointNumber}: %{y:.3~g} ms<extra></extra>',
      },
    ],
    layout: {
      xaxis: tokenAxis(tokens, 'generated token'),
      yaxis: {
        title: { text: `time / ms${log ? ' (logarithmic)' : ''}` },
        ...(log ? logAxis(ascending[0] / 1.3, ascending[ascending.length - 1] * 1.3) : { rangemode: 'tozero' }),
      },
      ...levelLine(median, `median<br>${inWords(median)} ms`, { color: STANDS_OUT, log }),
    },
    margin: { r: LEVEL_MARGIN },
    height: 400,
  });
}
