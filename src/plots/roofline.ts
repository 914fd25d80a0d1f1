import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { logAxis } from './log-axis.js';
import { inWords, rounded } from './numbers.js';
import { numberIn, readRows, text, type TableLike } from './rows.js';
import { CATEGORICAL, FONT } from './theme.js';
import { plainText } from './token-text.js';

/** One module of a model at work. */
export interface RooflineRow {
  /** Name of the point at which its output can be seen. */
  readonly hook: string;
  /** Positions that it worked on at once. */
  readonly rows: number;
  /** Bytes that it has to read and write. */
  readonly bytes: number;
  /** Additions and multiplications. */
  readonly operations: number;
  readonly microseconds: number;
}

export interface RooflineInput {
  /** Modules: at least one. */
  readonly rows: readonly RooflineRow[] | TableLike;
  /** Bytes a second that memory gives to as many threads. */
  readonly bandwidth: number;
}

/** Markers by the number of positions, in ascending order. */
const SYMBOLS = ['circle', 'diamond', 'square', 'cross'];

/**
 * Operations a second over operations per byte, a mark per module, on logarithmic axes (Williams, Waterman and Patterson
 * 2009). The roof's slanted part is what memory allows: above it is what came from caches. Throws OptionError and
 * ShapeError for bad rows.
 */
export function plotRoofline({ rows: input, bandwidth }: RooflineInput, { title }: FigureOptions = {}): Figure {
  const above = numberIn(Number.MIN_VALUE);
  const columns = { hook: text, rows: numberIn(1), bytes: above, operations: above, microseconds: above };
  const [{ given }] = readRows([{ given: bandwidth }], { given: above }, 'plotRoofline, bandwidth');
  const marks = readRows(input, columns, 'plotRoofline').map((row) => ({
    ...row,
    family: familyOf(row.hook),
    intensity: row.operations / row.bytes,
    speed: row.operations / row.microseconds / 1e3, // Gop/s
  }));
  const families = [...new Set(marks.map(({ family }) => family))];
  const counts = [...new Set(marks.map(({ rows }) => rows))].toSorted((a, b) => a - b);
  const [left, right] = ends(marks.map(({ intensity }) => intensity));
  const roof = (intensity: number): number => (given * intensity) / 1e9;
  const best = marks.reduce((a, b) => (b.speed > a.speed ? b : a));
  const [low, high] = ends([...marks.map(({ speed }) => speed), roof(left)]);
  const corner = Math.min(right, best.speed / roof(1));
  return figureOf({
    title: title ?? 'Roofline of the modules',
    subtitle: `roof: memory, ${inWords(given / 1e9)} GB/s, then the fastest module, ${best.hook}, ${inWords(best.speed)} Gop/s`,
    data: [
      {
        type: 'scatter',
        mode: 'lines',
        name: 'roof',
        x: [left, corner, right].map((x) => rounded(x)),
        y: [roof(left), Math.min(roof(corner), best.speed), best.speed].map((y) => rounded(y)),
        line: { color: FONT.muted, width: 1.5, dash: 'dash' },
        hoverinfo: 'skip',
      },
      ...families.map((family, i) => {
        const own = marks.filter((mark) => mark.family === family);
        return {
          type: 'scatter',
          mode: 'markers',
          name: family,
          x: own.map(({ intensity }) => rounded(intensity)),
          y: own.map(({ speed }) => rounded(speed)),
          customdata: own.map(({ hook, rows, bytes, microseconds }) => [
            plainText(hook),
            rows,
            inWords(bytes / microseconds / 1e3),
            inWords(microseconds),
          ]),
          marker: {
            color: CATEGORICAL[i % CATEGORICAL.length],
            symbol: own.map(({ rows }) => SYMBOLS[counts.indexOf(rows) % SYMBOLS.length]),
            size: 9,
            opacity: 0.75,
          },
          hovertemplate:
            '%{customdata[0]}, %{customdata[1]} rows<br>%{y:.3~g} Gop/s, %{customdata[2]} GB/s, %{customdata[3]} µs<extra></extra>',
        };
      }),
    ],
    layout: {
      xaxis: { title: { text: 'operations per byte (logarithmic)' }, ...logAxis(left, right) },
      yaxis: { title: { text: 'speed / Gop/s (logarithmic)' }, ...logAxis(low, high) },
      annotations: counts.map((count, i) => ({
        xref: 'paper',
        x: 1,
        xanchor: 'right',
        yref: 'paper',
        y: 0.02 + 0.055 * (counts.length - 1 - i),
        yanchor: 'bottom',
        text: `${['●', '◆', '■', '✚'][i % SYMBOLS.length]} ${count} ${count === 1 ? 'row' : 'rows'}`,
        showarrow: false,
        font: { color: FONT.muted, size: FONT.size },
      })),
    },
    height: 480,
    legend: true,
  });
}

/** Kinds of modules, by the names of their points. */
const FAMILIES: readonly { readonly name: string; readonly holds: RegExp }[] = [
  { name: 'attention’s projections', holds: /attn\.\w+_proj\./ },
  { name: 'MLP’s projections', holds: /mlp\.\w+_proj\./ },
  { name: 'unembed', holds: /^unembed\./ },
  { name: 'norms', holds: /hook_normalized$/ },
  { name: 'SwiGLU', holds: /mlp\.hook_post$/ },
];

const familyOf = (hook: string): string => FAMILIES.find(({ holds }) => holds.test(hook))?.name ?? 'others';

/** Least and most, with some room. */
const ends = (values: readonly number[]): [number, number] => [Math.min(...values) / 1.6, Math.max(...values) * 1.6];
