import { OptionError, ShapeError } from '../base/errors.js';
import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { inWords, quantile, rounded } from './numbers.js';
import { FONT, USUAL } from './theme.js';
import { plainText } from './token-text.js';

/** Numbers under a name, such as the activations at one named point. */
export interface DistributionItem {
  readonly name: string;
  readonly values: Float32Array;
}

/** What is drawn of one item. */
interface Summary {
  readonly name: string;
  readonly count: number;
  /** Values left out: −∞ of masked scores, +∞. */
  readonly infinite: number;
  readonly mean: number;
  readonly deviation: number;
  /** 0, 1, 25, 50, 75, 99, 100 % */
  readonly quantiles: readonly number[];
  readonly sorted: Float32Array;
}

const QUANTILES = [0, 0.01, 0.25, 0.5, 0.75, 0.99, 1];
/** Bins along the whole axis; fewer for an item that takes part of it, down to the least. */
const BINS = { axis: 160, least: 24 };
/** Height of the tallest bin, in rows. */
const TALLEST = 0.62;
/** Where the farthest value is this many times the typical spread away, the axis is bent: asinh(value / spread). */
const BEND_RATIO = 25;
const MOST_ITEMS = 64;

/**
 * Distributions one below the other, as clouds with quantiles under them (after Allen et al., "Raincloud plots", 2019):
 * a histogram, each item's tallest bin of equal height; the middle half as a bar, the middle 98 % as a line, the
 * median, and the extremes as dots. Only these summaries enter the spec, never the values. Infinite values (masked
 * scores) are left out and counted. Throws ShapeError for no items or no values, OptionError for NaN.
 */
export function plotDistributions(items: readonly DistributionItem[], { title }: FigureOptions = {}): Figure {
  const summaries = checkedItems(items).map(summaryOf);
  const scale = scaleOf(summaries);
  const place = (value: number): number => rounded(scale.place(value));
  const span =
    place(Math.max(...summaries.map(({ quantiles }) => quantiles[6]))) -
    place(Math.min(...summaries.map(({ quantiles }) => quantiles[0])));
  const hover = summaries.map(hoverText);
  const ends = (from: number, to: number): { x: (number | null)[]; y: (number | null)[] } => ({
    x: summaries.flatMap(({ quantiles }) => [place(quantiles[from]), place(quantiles[to]), null]),
    y: summaries.flatMap((_, row) => [row, row, null]),
  });
  const rows = summaries.map((_, row) => row);
  const line = { type: 'scatter', mode: 'lines', hoverinfo: 'skip' };
  const marks = { type: 'scatter', mode: 'markers', hovertemplate: '%{customdata}<extra></extra>' };
  return figureOf({
    title: title ?? (items.length === 1 ? `Distribution of ${items[0].name}` : 'Distributions of values'),
    data: [
      ...summaries.map((summary, row) => ({
        ...line,
        ...outline(summary, row, scale.place, span),
        showlegend: false,
        fill: 'toself',
        fillcolor: 'rgba(0, 114, 178, 0.28)',
        line: { color: USUAL, width: 1, shape: 'hv' },
      })),
      { ...line, name: 'middle 98 %', ...ends(1, 5), line: { color: FONT.color, width: 1.5 } },
      { ...line, name: 'middle half', ...ends(2, 4), line: { color: USUAL, width: 7 } },
      {
        ...marks,
        name: 'least and greatest',
        x: summaries.flatMap(({ quantiles }) => [place(quantiles[0]), place(quantiles[6])]),
        y: rows.flatMap((row) => [row, row]),
        customdata: hover.flatMap((text) => [text, text]),
        marker: { color: FONT.color, size: 4 },
      },
      {
        ...marks,
        name: 'median',
        x: summaries.map(({ quantiles }) => place(quantiles[3])),
        y: rows,
        customdata: hover,
        marker: { color: '#FFFFFF', size: 8, line: { color: FONT.color, width: 1.5 } },
      },
    ],
    layout: {
      xaxis: {
        zeroline: true,
        zerolinecolor: '#B8BEC5',
        title: { text: `value${scale.bent ? ' (axis bent: linear near 0, logarithmic outside)' : ''}` },
        ...scale.ticks,
      },
      yaxis: {
        tickmode: 'array',
        tickvals: rows,
        ticktext: summaries.map(({ name }) => plainText(name)),
        tickfont: { family: FONT.tokens },
        range: [summaries.length - 0.6, -0.9],
        showgrid: false,
        ticks: '',
      },
    },
    height: 170 + 52 * summaries.length,
    legend: true,
  });
}

function checkedItems(items: readonly DistributionItem[]): readonly DistributionItem[] {
  const where = 'plotDistributions';
  if (!Array.isArray(items) || items.length === 0 || items.length > MOST_ITEMS) {
    throw new ShapeError({ thing: 'items', found: items?.length ?? items, expected: `1 to ${MOST_ITEMS}`, where });
  }
  for (const [i, { name, values }] of items.entries()) {
    if (typeof name !== 'string')
      throw new OptionError({ thing: 'name', found: name, expected: 'a text', where: `${where}, item ${i}` });
    if (!(values instanceof Float32Array)) {
      throw new OptionError({
        thing: 'values',
        found: typeof values,
        expected: 'a Float32Array',
        where: `${where}, ${name}`,
      });
    }
    const nan = values.findIndex(Number.isNaN);
    if (nan >= 0)
      throw new OptionError({
        thing: 'values',
        found: NaN,
        expected: 'numbers',
        where: `${where}, ${name}, index ${nan}`,
      });
  }
  return items;
}

function summaryOf({ name, values }: DistributionItem): Summary {
  const sorted = values.filter(Number.isFinite).sort();
  if (sorted.length === 0) {
    throw new ShapeError({
      thing: 'finite values',
      found: 0,
      expected: 'at least one',
      where: `plotDistributions, ${name}`,
    });
  }
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  const variance = sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / sorted.length;
  return {
    name,
    count: sorted.length,
    infinite: values.length - sorted.length,
    mean,
    deviation: Math.sqrt(variance),
    quantiles: QUANTILES.map((p) => quantile(sorted, p)),
    sorted,
  };
}

function hoverText({ name, count, infinite, mean, deviation, quantiles }: Summary): string {
  const [least, first, lower, median, upper, last, greatest] = quantiles.map((value) => inWords(value));
  return [
    `<b>${plainText(name)}</b>: ${count} values${infinite === 0 ? '' : `, ${infinite} infinite ones left out`}`,
    `mean ${inWords(mean)}, standard deviation ${inWords(deviation)}`,
    `median ${median}, middle half ${lower} to ${upper}`,
    `middle 98 % ${first} to ${last}, all ${least} to ${greatest}`,
  ].join('<br>');
}

interface Scale {
  readonly bent: boolean;
  readonly place: (value: number) => number;
  readonly ticks: object;
}

/** A linear axis, or one bent by asinh where the farthest value would press the rest together. */
function scaleOf(summaries: readonly Summary[]): Scale {
  const farthest = Math.max(...summaries.map(({ quantiles }) => Math.max(-quantiles[0], quantiles[6])));
  const spreads = summaries.map(({ quantiles }) => quantiles[4] - quantiles[2]).filter((spread) => spread > 0);
  const typical = quantile(
    spreads.sort((a, b) => a - b),
    0.5,
  );
  if (spreads.length === 0 || farthest <= BEND_RATIO * typical)
    return { bent: false, place: (value) => value, ticks: {} };
  const place = (value: number): number => Math.asinh(value / typical);
  const least = Math.min(...summaries.map(({ quantiles }) => quantiles[0]));
  const greatest = Math.max(...summaries.map(({ quantiles }) => quantiles[6]));
  const powers = Array.from({ length: 12 }, (_, i) => 10 ** (Math.ceil(Math.log10(typical) - 0.3) + i)).filter(
    (power) => power <= farthest,
  );
  const values = [...powers.toReversed().map((power) => -power), 0, ...powers].filter(
    (value) => value >= least && value <= greatest,
  );
  return {
    bent: true,
    place,
    ticks: {
      tickmode: 'array',
      tickvals: values.map((value) => rounded(place(value))),
      ticktext: values.map((value) => inWords(value)),
      range: [place(least), place(greatest)].map((end, i, [from, to]) =>
        rounded(end + (i === 0 ? -0.03 : 0.03) * (to - from || 1)),
      ),
    },
  };
}

/** A histogram's outline above the line of its row: x to and fro, y up from the row (rows count downwards). */
function outline(
  { sorted, quantiles }: Summary,
  row: number,
  place: Scale['place'],
  span: number,
): { x: number[]; y: number[] } {
  const [from, to] = [place(quantiles[0]), place(quantiles[6])];
  if (from === to) return { x: [rounded(from), rounded(from)], y: [row - 0.1, rounded(row - 0.1 - TALLEST)] };
  const bins = Math.max(BINS.least, Math.ceil((BINS.axis * (to - from)) / span));
  const counts = new Array<number>(bins).fill(0);
  const width = (to - from) / bins;
  for (const value of sorted) counts[Math.max(0, Math.min(bins - 1, Math.floor((place(value) - from) / width)))]++;
  const tallest = Math.max(...counts);
  const foot = row - 0.1;
  // drawn with `shape: 'hv'`: a point where a step begins, none within a level stretch
  const points = [
    [from, foot],
    ...counts.map((count, bin) => [from + bin * width, foot - (TALLEST * count) / tallest]),
    [to, foot],
  ];
  const steps = points.filter(([, y], i) => i === points.length - 1 || i === 0 || y !== points[i - 1][1]);
  return { x: steps.map(([x]) => rounded(x)), y: steps.map(([, y]) => Number(y.toFixed(3))) };
}
