import { checkWhole } from '../base/options.js';
import { blockExtremes, type Blocks } from './block-extremes.js';
import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { inWords, quantile } from './numbers.js';
import { checkValues } from './rows.js';
import { DIVERGING } from './theme.js';
import { plainText } from './token-text.js';

/** A matrix of weights before and after something was done to it, row-major [outFeatures, inFeatures]. */
export interface WeightMatrixInput {
  readonly name: string;
  readonly outFeatures: number;
  readonly inFeatures: number;
  readonly before: Float32Array;
  readonly after: Float32Array;
  /** What the two are; "before" and "after" unless given. */
  readonly labels?: readonly [string, string];
}

/** Most cells of a side of a map. */
const MOST_CELLS = 128;
const GAP = 0.06;
/** Share of the cells whose colours are told apart; those beyond have the last colour. */
const SHARE_TOLD = 0.995;

/** Checks a pair of matrices and returns after − before. */
export function weightErrors(
  { outFeatures, inFeatures, before, after }: WeightMatrixInput,
  where: string,
): Float32Array {
  checkWhole(where, 'outFeatures', outFeatures, 1);
  checkWhole(where, 'inFeatures', inFeatures, 1);
  checkValues(before, outFeatures * inFeatures, 'weights before', where);
  checkValues(after, outFeatures * inFeatures, 'weights after', where);
  return after.map((value, i) => value - before[i]);
}

/**
 * A matrix before and after (one colour scale) and their difference (its own), at most 128 × 128 cells each; in a
 * larger matrix a cell is the entry of largest magnitude of its block. White is 0 throughout; the darkest colours are
 * those of the 0.5 % of the cells farthest from it.
 * Throws OptionError and ShapeError for sizes and arrays that do not fit, and for values that are not finite.
 */
export function plotWeightMatrix(input: WeightMatrixInput, { title }: FigureOptions = {}): Figure {
  const where = `plotWeightMatrix, ${input.name}`;
  const errors = weightErrors(input, where);
  const { name, outFeatures, inFeatures, before, after, labels = ['before', 'after'] } = input;
  const shrink = (values: Float32Array): Blocks => blockExtremes(values, outFeatures, inFeatures, MOST_CELLS);
  const maps = [shrink(before), shrink(after), shrink(errors)];
  const [weightBound, errorBound] = [boundOf(maps[0], maps[1]), boundOf(maps[2])];
  const largest = (values: Float32Array): string =>
    inWords(values.reduce((most, value) => Math.max(most, Math.abs(value)), 0));
  const { blockRows, blockColumns, rowStarts, columnStarts } = maps[0];
  const cell = blockRows * blockColumns === 1 ? 'a weight' : `the largest of ${blockRows} × ${blockColumns} weights`;
  const width = (1 - 2 * GAP) / 3;
  const headings = [...labels, 'difference'];
  const axes = headings.flatMap((_, i) => {
    const from = i * (width + GAP);
    const number = i === 0 ? '' : String(i + 1);
    return [
      [
        `xaxis${number}`,
        {
          domain: [from, from + width].map((end) => Number(end.toFixed(4))),
          anchor: `y${number}`,
          title: { text: 'input feature' },
          showgrid: false,
          range: [0, inFeatures],
        },
      ],
      [
        `yaxis${number}`,
        {
          anchor: `x${number}`,
          showgrid: false,
          range: [outFeatures, 0],
          showticklabels: i === 0,
          ...(i === 0 ? { title: { text: 'output feature' } } : { matches: 'y' }),
        },
      ],
    ] as const;
  });
  const colorbar = {
    thickness: 12,
    outlinewidth: 0,
    exponentformat: 'power',
    orientation: 'h',
    y: -0.2,
    yanchor: 'top',
    yref: 'paper',
  };
  return figureOf({
    title: title ?? `Weights of ${name}: ${labels.join(', ')}, and their difference`,
    subtitle:
      `${outFeatures} × ${inFeatures}; each cell is ${cell}; ` +
      `largest weight ${largest(before)}, largest difference ${largest(errors)}`,
    data: maps.map(({ rows }, i) => ({
      type: 'heatmap',
      z: fixedDigits(rows, i < 2 ? weightBound : errorBound),
      x0: blockColumns / 2,
      dx: blockColumns,
      y0: blockRows / 2,
      dy: blockRows,
      xaxis: `x${i === 0 ? '' : i + 1}`,
      yaxis: `y${i === 0 ? '' : i + 1}`,
      coloraxis: i < 2 ? 'coloraxis' : 'coloraxis2',
      hovertemplate: `output %{y:.0f}, input %{x:.0f}: %{z}<extra>${plainText(headings[i])}</extra>`,
    })),
    layout: {
      ...Object.fromEntries(axes),
      coloraxis: {
        ...diverging(weightBound),
        colorbar: {
          ...colorbar,
          title: { text: 'weight', side: 'bottom' },
          x: width + GAP / 2,
          xanchor: 'center',
          len: 2 * width * 0.9,
        },
      },
      coloraxis2: {
        ...diverging(errorBound),
        colorbar: {
          ...colorbar,
          title: { text: 'difference', side: 'bottom' },
          x: 2 * (width + GAP) + width / 2,
          xanchor: 'center',
          len: width * 0.9,
        },
      },
      annotations: headings.map((heading, i) => ({
        text: `<b>${plainText(heading)}</b>`,
        xref: 'paper',
        x: i * (width + GAP) + width / 2,
        xanchor: 'center',
        yref: 'paper',
        y: 1,
        yanchor: 'bottom',
        showarrow: false,
      })),
    },
    height: Math.round(
      Math.min(760, Math.max(300, (280 * rowStarts.length * blockRows) / (columnStarts.length * blockColumns))) + 220,
    ),
    margin: { t: 24, b: 130 },
  });
}

/** Where the colours end: a few outliers would turn all else white. */
function boundOf(...blocks: readonly Blocks[]): number {
  const magnitudes = Float64Array.from(
    blocks.flatMap(({ rows }) => rows.flat()),
    Math.abs,
  ).sort();
  return quantile(magnitudes, SHARE_TOLD) || magnitudes[magnitudes.length - 1];
}

/** A scale with white at 0; for a matrix of zeros any bound does. */
const diverging = (bound: number): object => ({ colorscale: DIVERGING, cmin: -(bound || 1), cmax: bound || 1 });

/** Rounded to a 500th of the bound or finer: smaller steps of colour are not seen. */
function fixedDigits(rows: readonly number[][], bound: number): number[][] {
  const decimals = bound === 0 ? 0 : Math.min(100, Math.max(0, Math.ceil(Math.log10(500 / bound))));
  // + 0 makes −0 a 0
  return rows.map((row) => row.map((value) => Number(value.toFixed(decimals)) + 0));
}
