import { OptionError } from '../base/errors.js';
import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { inWords, rounded } from './numbers.js';
import { numberIn, readRows, text, type TableLike } from './rows.js';
import { FONT, STANDS_OUT, USUAL } from './theme.js';
import { plainText } from './token-text.js';

/** Something measured several times. */
export interface MeasurementRow {
  /** What did it. */
  readonly engine: string;
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** Of all three, the same in all rows. */
  readonly unit: string;
}

/** What bars of measurements take besides. */
export interface MeasurementsOptions extends FigureOptions {
  /** Engines whose bars stand out; the others are what they are held against. */
  readonly ours?: readonly string[];
  /** A value that is drawn as a line across all bars. */
  readonly limit?: { readonly value: number; readonly label: string };
}

/**
 * A bar for each of some measurements of one kind, with whiskers from the least to the most that was seen. Throws
 * OptionError and ShapeError for bad rows, and for rows of several units.
 */
export function plotMeasurements(
  input: readonly MeasurementRow[] | TableLike,
  { title, ours = [], limit }: MeasurementsOptions = {},
): Figure {
  const number = numberIn(0);
  const rows = readRows(input, { engine: text, median: number, low: number, high: number, unit: text }, 'plotMeasurements');
  const [{ unit }] = rows;
  const other = rows.find((row) => row.unit !== unit);
  if (other) throw new OptionError({ thing: 'unit', found: other.unit, expected: `${unit}, as in row 0`, where: 'plotMeasurements' });
  const best = rows.reduce((a, b) => (b.median > a.median ? b : a));
  const most = Math.max(...rows.map(({ high }) => high), limit?.value ?? 0);
  return figureOf({
    title: title ?? `Measured, in ${unit}`,
    subtitle: `most: ${best.engine}, ${inWords(best.median)} ${unit}; whiskers from the least to the most of all rounds`,
    data: [
      {
        type: 'bar',
        orientation: 'h',
        y: rows.map((_, row) => row),
        x: rows.map(({ median }) => rounded(median)),
        error_x: {
          type: 'data',
          symmetric: false,
          array: rows.map(({ median, high }) => rounded(Math.max(0, high - median))),
          arrayminus: rows.map(({ median, low }) => rounded(Math.max(0, median - low))),
          color: FONT.muted,
          thickness: 1.2,
          width: 4,
        },
        marker: { color: rows.map(({ engine }) => (ours.includes(engine) ? STANDS_OUT : USUAL)) },
        customdata: rows.map(({ engine, median }) => [plainText(engine), inWords(median)]),
        hovertemplate: `%{customdata[0]}: %{customdata[1]} ${plainText(unit)}<extra></extra>`,
      },
    ],
    layout: {
      bargap: 0.3,
      xaxis: { title: { text: plainText(unit) }, range: [0, rounded(1.12 * most)] },
      yaxis: {
        tickmode: 'array',
        tickvals: rows.map((_, row) => row),
        ticktext: rows.map(({ engine }) => plainText(engine)),
        range: [rows.length - 0.5, -0.5],
        showgrid: false,
        ticks: '',
      },
      annotations: [
        ...rows.map(({ median, high }, row) => ({
          x: rounded(Math.max(median, high)),
          y: row,
          xanchor: 'left',
          xshift: 6,
          text: inWords(median),
          showarrow: false,
          font: { color: FONT.color, size: FONT.size },
        })),
        ...(limit ? [limitLabel(limit)] : []),
      ],
      shapes: limit ? [limitLine(limit.value)] : [],
    },
    height: 150 + 32 * rows.length,
    margin: { t: limit ? 16 : 0 },
  });
}

const limitLine = (value: number): object => ({
  type: 'line',
  x0: value,
  x1: value,
  yref: 'paper',
  y0: 0,
  y1: 1,
  line: { color: FONT.muted, width: 1.5, dash: 'dash' },
});

const limitLabel = ({ value, label }: { value: number; label: string }): object => ({
  x: value,
  yref: 'paper',
  y: 1,
  yanchor: 'bottom',
  text: plainText(label),
  showarrow: false,
  font: { color: FONT.muted, size: FONT.size },
});
