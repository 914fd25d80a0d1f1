import { ShapeError } from '../base/errors.js';
import { checkHeads } from './attention-pattern.js';
import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { rounded } from './numbers.js';
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

/** Pixels: of all maps together, between two of them, and of a cell. */
const SIZE = { page: 790, gap: 28, tallest: 34, lowest: 9, numbered: 26, band: 4 };
/** Pixels below the maps: axes, and colour bars where cells bear no numbers. */
const BOTTOM = { numbered: 50, bar: 84 };
const MOST_LABELS = 16;

/**
 * Numbers of heads as maps side by side: rows are layers, columns heads, and a band above joins heads that share keys
 * and values. Each map has colours of its own, from 0 to its largest number, or from −m to m where numbers are signed;
 * cells bear their numbers where there is room. Throws OptionError and ShapeError for rows that do not fit, that are
 * missing or there twice.
 */
export function plotHeads({ rows: input, values, kvHeads }: HeadsInput, { title }: FigureOptions = {}): Figure {
  const where = 'plotHeads';
  const columns = Object.keys(values);
  if (columns.length === 0) throw new ShapeError({ thing: 'values', found: 0, expected: 'at least one column', where });
  const whole = numberIn(0);
  const rows = readRows(input, { layer: whole, head: whole }, where);
  const numbers = readRows(input, Object.fromEntries(columns.map((column) => [column, numberIn()])), where);
  const layers = [...new Set(rows.map(({ layer }) => layer))].sort((a, b) => a - b);
  const heads = Math.max(...rows.map(({ head }) => head)) + 1;
  checkHeads(heads, kvHeads ?? heads, where);
  if (rows.length !== layers.length * heads || new Set(rows.map(({ layer, head }) => layer * heads + head)).size !== rows.length) {
    throw new ShapeError({ thing: 'rows', found: rows.length, expected: `one for each of ${layers.length} × ${heads} heads`, where });
  }
  const panelWidth = (SIZE.page - SIZE.gap * (columns.length - 1)) / columns.length;
  const cellHeight = Math.min(SIZE.tallest, Math.max(SIZE.lowest, panelWidth / heads));
  const plotHeight = Math.round(cellHeight * layers.length);
  const numbered = panelWidth / heads >= SIZE.numbered;
  const stretches = columns.map((_, i) =>
    [i * (panelWidth + SIZE.gap), i * (panelWidth + SIZE.gap) + panelWidth].map((x) => Number((x / SIZE.page).toFixed(4))),
  );
  return figureOf({
    title: title ?? `Heads by ${Object.values(values).join(', ')}`,
    subtitle:
      'rows are layers, columns heads' +
      (kvHeads === undefined || kvHeads === heads ? '' : '; a band joins heads that share keys and values'),
    data: columns.map((column, panel) => {
      const z = layers.map(() => new Array<number>(heads).fill(0));
      for (const [i, { layer, head }] of rows.entries()) z[layers.indexOf(layer)][head] = rounded(numbers[i][column]);
      const bound = Math.max(...z.flat().map(Math.abs)) || 1;
      const signed = z.flat().some((value) => value < 0);
      return {
        type: 'heatmap',
        name: plainText(values[column]),
        z,
        xaxis: `x${panel === 0 ? '' : panel + 1}`,
        yaxis: `y${panel === 0 ? '' : panel + 1}`,
        zmin: signed ? -bound : 0,
        zmax: bound,
        colorscale: signed ? DIVERGING : SEQUENTIAL,
        xgap: 1,
        ygap: 1,
        hovertemplate: `layer %{y}, head %{x}: %{z}<extra>${plainText(values[column])}</extra>`,
        ...(numbered
          ? { showscale: false, text: z.map((row) => row.map((value) => inCell(value, bound))), texttemplate: '%{text}', textfont: { size: 10 } }
          : { colorbar: { ...BAR, x: (stretches[panel][0] + stretches[panel][1]) / 2, len: (0.9 * panelWidth) / SIZE.page } }),
      };
    }),
    layout: {
      ...axesOf(stretches, layers, heads),
      shapes: stretches.flatMap((stretch) => bands(stretch, heads, kvHeads ?? heads, plotHeight)),
      annotations: columns.map((column, i) => ({
        text: `<b>${plainText(values[column])}</b>`,
        xref: 'paper',
        x: (stretches[i][0] + stretches[i][1]) / 2,
        xanchor: 'center',
        yref: 'paper',
        y: 1,
        yanchor: 'bottom',
        yshift: 10,
        showarrow: false,
      })),
    },
    height: plotHeight + 72 + 34 + BOTTOM[numbered ? 'numbered' : 'bar'],
    margin: { l: 56, r: 14, t: 34, b: BOTTOM[numbered ? 'numbered' : 'bar'] },
  });
}

/** With as many decimals as the largest number of a map needs for three digits. */
const inCell = (value: number, bound: number): string =>
  value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(bound)))).replace('-', '−');

const BAR = { orientation: 'h', thickness: 10, outlinewidth: 0, xanchor: 'center', y: 0, yanchor: 'top', ypad: 44 };

function axesOf(stretches: readonly number[][], layers: readonly number[], heads: number): Record<string, object> {
  const bare = { showgrid: false, showline: false, ticks: '', tickmode: 'array' };
  const every = (count: number): number[] => {
    const stride = Math.ceil(count / MOST_LABELS);
    return Array.from({ length: Math.ceil(count / stride) }, (_, i) => i * stride);
  };
  const axes = stretches.flatMap((domain, i) => {
    const number = i === 0 ? '' : i + 1;
    const x = { ...bare, domain, anchor: `y${number}`, title: { text: 'head', standoff: 6 }, range: [-0.5, heads - 0.5] };
    const y = { ...bare, anchor: `x${number}`, range: [layers.length - 0.5, -0.5], showticklabels: i === 0 };
    const rows = every(layers.length);
    return [
      [`xaxis${number}`, { ...x, tickvals: every(heads), ticktext: every(heads).map(String) }],
      [
        `yaxis${number}`,
        {
          ...y,
          tickvals: rows,
          ticktext: rows.map((row) => String(layers[row])),
          ...(i === 0 ? { title: { text: 'layer', standoff: 6 } } : { matches: 'y' }),
        },
      ],
    ] as const;
  });
  return Object.fromEntries(axes);
}

/** A band over each group of heads, and white lines between the groups; nothing where each head is a group. */
function bands([from, to]: readonly number[], heads: number, kvHeads: number, plotHeight: number): object[] {
  if (kvHeads === heads) return [];
  const paper = { xref: 'paper', yref: 'paper' };
  const place = (share: number): number => Number((from + share * (to - from)).toFixed(5));
  const foot = 1 + 3 / plotHeight;
  const gap = 2 / SIZE.page;
  return Array.from({ length: kvHeads }, (_, group) => {
    const [x0, x1] = [place(group / kvHeads), place((group + 1) / kvHeads)];
    return [
      {
        ...paper,
        type: 'rect',
        x0: Number((x0 + gap).toFixed(5)),
        x1: Number((x1 - gap).toFixed(5)),
        y0: Number(foot.toFixed(5)),
        y1: Number((foot + SIZE.band / plotHeight).toFixed(5)),
        fillcolor: CATEGORICAL[group % CATEGORICAL.length],
        line: { width: 0 },
      },
      ...(group === 0 ? [] : [{ ...paper, type: 'line', x0, x1: x0, y0: 0, y1: 1, line: { color: '#FFFFFF', width: 4 } }]),
    ];
  }).flat();
}
