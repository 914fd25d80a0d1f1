import { ShapeError } from '../base/errors.js';
import { checkWhole } from '../base/options.js';
import { checkHeads } from './attention-pattern.js';
import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { inWords, rounded } from './numbers.js';
import { numberIn, readRows, type TableLike } from './rows.js';
import { CATEGORICAL, DIVERGING, SEQUENTIAL } from './theme.js';
import { plainText } from './token-text.js';

/** Numbers of every head of every layer. */
export interface HeadsInput {
  /** One row per head with the columns `layer`, `head` and those of `values`. */
  readonly rows: readonly object[] | TableLike;
  /** Columns to draw, a map each, and what stands above it: `{ entropy: 'entropy / bits' }`. */
  readonly values: Readonly<Record<string, string>>;
  /** Key/value heads, each serving equally many heads in a row; as many as heads unless given. */
  readonly kvHeads?: number;
}

/** Pixels: all maps together, between two of them, sides of a cell, its width to bear a number, a group's band. */
const SIZE = { page: 790, gap: 28, tallest: 34, lowest: 9, numbered: 26, band: 4, above: 34 };
/** Pixels below the maps: axes, and colour bars where cells bear no numbers. */
const BELOW = { numbers: 50, bars: 84 };
const MOST_LABELS = 16;
const MOST_DECIMALS = 5;

/** Where a map stands. */
interface Panel {
  readonly heading: string;
  /** Layers by heads. */
  readonly z: readonly (readonly number[])[];
  /** Stretch from 0 to 1. */
  readonly from: number;
  readonly to: number;
  /** Plotly's number of its axes. */
  readonly axis: string;
}

/**
 * Numbers of heads as maps side by side: rows are layers, columns heads, and a band above joins heads that share keys
 * and values. Each map has its own colours, from 0 to its largest number, or from −m to m where numbers are signed;
 * cells bear their numbers where there is room. Throws OptionError and ShapeError for rows that do not fit, that are
 * missing or there twice.
 */
export function plotHeads(input: HeadsInput, { title }: FigureOptions = {}): Figure {
  const { layers, heads, maps } = readMaps(input);
  const kvHeads = input.kvHeads ?? heads;
  const width = (SIZE.page - SIZE.gap * (maps.length - 1)) / maps.length;
  const numbered = width / heads >= SIZE.numbered;
  const plotHeight = Math.round(layers.length * Math.min(SIZE.tallest, Math.max(SIZE.lowest, width / heads)));
  const below = numbered ? BELOW.numbers : BELOW.bars;
  const panels = maps.map(({ heading, z }, i): Panel => {
    const start = i * (width + SIZE.gap);
    const [from, to] = [start, start + width].map((x) => Number((x / SIZE.page).toFixed(4)));
    return { heading, z, from, to, axis: i === 0 ? '' : String(i + 1) };
  });
  return figureOf({
    title: title ?? `Heads by ${Object.values(input.values).join(', ')}`,
    subtitle:
      'rows are layers, columns heads' + (kvHeads < heads ? '; a band joins heads that share keys and values' : ''),
    data: panels.map((panel) => heatmap(panel, layers, numbered)),
    layout: {
      ...Object.fromEntries(panels.flatMap((panel, i) => axes(panel, layers, heads, i === 0))),
      shapes: kvHeads < heads ? panels.flatMap((panel) => bands(panel, kvHeads, plotHeight)) : [],
      annotations: panels.map(heading),
    },
    height: plotHeight + 72 + SIZE.above + below,
    margin: { l: 56, r: 14, t: SIZE.above, b: below },
  });
}

/** Checks the rows, and sorts their numbers by layer and head. */
function readMaps({ rows: input, values, kvHeads }: HeadsInput): {
  layers: readonly number[];
  heads: number;
  maps: { heading: string; z: number[][] }[];
} {
  const where = 'plotHeads';
  const columns = Object.keys(values);
  if (columns.length === 0) throw new ShapeError({ thing: 'values', found: 0, expected: 'at least one column', where });
  const places = readRows(input, { layer: numberIn(), head: numberIn() }, where);
  for (const { layer, head } of places) {
    checkWhole(where, 'layer', layer, 0);
    checkWhole(where, 'head', head, 0);
  }
  const layers = [...new Set(places.map(({ layer }) => layer))].sort((a, b) => a - b);
  const heads = Math.max(...places.map(({ head }) => head)) + 1;
  checkHeads(heads, kvHeads ?? heads, where);
  const different = new Set(places.map(({ layer, head }) => layer * heads + head)).size;
  if (places.length !== layers.length * heads || different !== places.length) {
    const expected = `one for each of ${layers.length} × ${heads} heads`;
    throw new ShapeError({ thing: 'rows', found: places.length, expected, where });
  }
  const numbers = readRows(input, Object.fromEntries(columns.map((column) => [column, numberIn()])), where);
  const maps = columns.map((column) => {
    const z = layers.map(() => new Array<number>(heads).fill(0));
    places.forEach(({ layer, head }, i) => (z[layers.indexOf(layer)][head] = rounded(numbers[i][column])));
    return { heading: plainText(values[column]), z };
  });
  return { layers, heads, maps };
}

function heatmap({ heading, z, from, to, axis }: Panel, layers: readonly number[], numbered: boolean): object {
  const bound = Math.max(...z.flat().map(Math.abs)) || 1;
  const signed = z.flat().some((value) => value < 0);
  const bar = { orientation: 'h', thickness: 10, outlinewidth: 0, y: 0, yanchor: 'top', ypad: 44, xanchor: 'center' };
  return {
    type: 'heatmap',
    name: heading,
    z,
    xaxis: `x${axis}`,
    yaxis: `y${axis}`,
    zmin: signed ? -bound : 0,
    zmax: bound,
    colorscale: signed ? DIVERGING : SEQUENTIAL,
    xgap: 1,
    ygap: 1,
    customdata: z.map((row, i) => row.map(() => layers[i])),
    hovertemplate: `layer %{customdata}, head %{x}: %{z}<extra>${heading}</extra>`,
    ...(numbered
      ? {
          showscale: false,
          text: z.map((row) => row.map((value) => inCell(value, bound))),
          texttemplate: '%{text}',
          textfont: { size: 10 },
        }
      : { colorbar: { ...bar, x: (from + to) / 2, len: Number((0.9 * (to - from)).toFixed(4)) } }),
  };
}

/** With as many decimals as the largest number of a map needs for three digits. */
function inCell(value: number, bound: number): string {
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(bound)));
  return decimals > MOST_DECIMALS ? inWords(value, 2) : value.toFixed(decimals).replace('-', '−');
}

function axes({ from, to, axis }: Panel, layers: readonly number[], heads: number, first: boolean): [string, object][] {
  const bare = { showgrid: false, showline: false, ticks: '', tickmode: 'array' };
  const [columns, rows] = [heads, layers.length].map((count) => {
    const stride = Math.ceil(count / MOST_LABELS);
    return Array.from({ length: Math.ceil(count / stride) }, (_, i) => i * stride);
  });
  const x = { tickvals: columns, ticktext: columns.map(String), range: [-0.5, heads - 0.5], domain: [from, to] };
  const y = { tickvals: rows, ticktext: rows.map((row) => String(layers[row])), range: [layers.length - 0.5, -0.5] };
  const titled = (text: string): object => ({ title: { text, standoff: 6 } });
  const left = first ? titled('layer') : { matches: 'y', showticklabels: false };
  return [
    [`xaxis${axis}`, { ...bare, ...x, ...titled('head'), anchor: `y${axis}` }],
    [`yaxis${axis}`, { ...bare, ...y, ...left, anchor: `x${axis}` }],
  ];
}

/** A band over each group of heads, and white lines between groups. */
function bands({ from, to }: Panel, kvHeads: number, plotHeight: number): object[] {
  const paper = { xref: 'paper', yref: 'paper' };
  const place = (share: number): number => Number(share.toFixed(5));
  const [foot, gap] = [1 + 3 / plotHeight, 2 / SIZE.page];
  const edge = (group: number): number => from + (group / kvHeads) * (to - from);
  return Array.from({ length: kvHeads }, (_, group) => {
    const band = {
      ...paper,
      type: 'rect',
      x0: place(edge(group) + gap),
      x1: place(edge(group + 1) - gap),
      y0: place(foot),
      y1: place(foot + SIZE.band / plotHeight),
      fillcolor: CATEGORICAL[group % CATEGORICAL.length],
      line: { width: 0 },
    };
    const x = place(edge(group));
    const line = { ...paper, type: 'line', x0: x, x1: x, y0: 0, y1: 1, line: { color: '#FFFFFF', width: 4 } };
    return group === 0 ? [band] : [band, line];
  }).flat();
}

const heading = ({ heading: text, from, to }: Panel): object => ({
  text: `<b>${text}</b>`,
  xref: 'paper',
  x: (from + to) / 2,
  xanchor: 'center',
  yref: 'paper',
  y: 1,
  yanchor: 'bottom',
  yshift: 10,
  showarrow: false,
});
