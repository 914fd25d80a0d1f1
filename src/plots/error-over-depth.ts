import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { inWords, logTicks, rounded } from './numbers.js';
import { numberIn, orNull, readRows, text, type TableLike } from './rows.js';
import { CATEGORICAL, FONT } from './theme.js';
import { plainText } from './token-text.js';

/** How far one named point of a model is from the reference model's. */
export interface PointErrorRow {
  readonly name: string;
  /** Decoder layer, or null for points before and after them. */
  readonly layer: number | null;
  /** Name without the layer. */
  readonly point: string;
  /** ‖other − reference‖ / ‖reference‖ */
  readonly relativeError: number;
  readonly cosine: number;
}

interface Family {
  readonly name: string;
  readonly color: string;
  readonly width: number;
  readonly holds: (point: string) => boolean;
}

/** Kinds of points, told by name; the last one takes what is left. */
const FAMILIES: readonly Family[] = [
  { name: 'residual stream', color: CATEGORICAL[0], width: 3, holds: (point) => /^hook_(embed|resid)/.test(point) },
  { name: 'attention', color: CATEGORICAL[1], width: 1.2, holds: (point) => /^(attn\.|hook_attn_out)/.test(point) },
  { name: 'MLP', color: CATEGORICAL[2], width: 1.2, holds: (point) => /^(mlp\.|hook_mlp_out)/.test(point) },
  { name: 'norms', color: CATEGORICAL[4], width: 1.2, holds: (point) => /^ln/.test(point) },
  { name: 'logits', color: CATEGORICAL[6], width: 1.2, holds: () => true },
];

const COLUMNS = {
  name: text,
  layer: orNull(numberIn(0)),
  point: text,
  relativeError: numberIn(0),
  cosine: numberIn(-1.0001, 1.0001),
};
type Row = PointErrorRow;

/**
 * Relative error (logarithmic) and cosine of every named point over depth: one line per kind of point, coloured by the
 * part of a layer that it belongs to. An error of 0 stands at the foot of the panel, as a ring.
 * Throws OptionError and ShapeError for bad rows.
 */
export function plotErrorOverDepth(
  points: readonly PointErrorRow[] | TableLike,
  { title }: FigureOptions = {},
): Figure {
  const rows: Row[] = readRows(points, COLUMNS, 'plotErrorOverDepth');
  const depth = depthOf(rows);
  const errors = rows
    .map(({ relativeError }) => relativeError)
    .filter((error) => error > 0)
    .sort((x, y) => x - y);
  const [least, greatest] = errors.length === 0 ? [1e-8, 1e-7] : [errors[0], errors[errors.length - 1]];
  const foot = least / 2;
  const worst = rows.reduce((a, b) => (b.relativeError > a.relativeError ? b : a));
  const families = FAMILIES.map((family) => ({
    ...family,
    lines: linesOf(rows.filter(({ point }) => familyOf(point) === family)),
  }));
  const equal = rows.filter(({ relativeError }) => relativeError === 0);
  const place = (line: readonly Row[]): object => ({
    type: 'scatter',
    x: line.map((row) => depth.of(row)),
    customdata: line.map((row) => [plainText(row.name), inWords(row.relativeError), inWords(row.cosine, 5)]),
    hovertemplate: '%{customdata[0]}<br>relative error %{customdata[1]}<br>cosine %{customdata[2]}<extra></extra>',
  });
  return figureOf({
    title: title ?? 'Relative error and cosine at every named point over depth',
    subtitle:
      `largest relative error ${inWords(worst.relativeError)}, ` +
      `at ${worst.name} (cosine ${inWords(worst.cosine, 4)})`,
    data: [
      // the residual stream, first of the families, is drawn last: on top
      ...families.toReversed().flatMap(({ name, color, width, lines }) =>
        lines.flatMap((line, i) => {
          const shared = {
            ...place(line),
            mode: 'lines+markers',
            name,
            legendgroup: name,
            legendrank: FAMILIES.findIndex((family) => family.name === name),
            line: { color, width },
            marker: { color, size: width > 2 ? 7 : 5 },
            opacity: width > 2 ? 1 : 0.65,
          };
          return [
            {
              ...shared,
              showlegend: i === 0,
              y: line.map(({ relativeError }) => (relativeError > 0 ? rounded(relativeError) : null)),
            },
            { ...shared, showlegend: false, y: line.map(({ cosine }) => rounded(cosine, 6)), yaxis: 'y2' },
          ];
        }),
      ),
      ...(equal.length === 0
        ? []
        : [
            {
              ...place(equal),
              mode: 'markers',
              name: 'equal (error 0)',
              y: equal.map(() => rounded(foot)),
              legendrank: FAMILIES.length,
              marker: {
                symbol: 'circle-open',
                size: 8,
                line: { width: 1.5 },
                color: equal.map(({ point }) => familyOf(point).color),
              },
            },
          ]),
    ],
    layout: {
      xaxis: { ...depth.axis, anchor: 'y2', title: { text: 'decoder layer' } },
      yaxis: {
        title: { text: 'relative error ‖Δ‖ / ‖reference‖' },
        type: 'log',
        ...errorAxis(least, greatest, equal.length > 0 ? foot : null),
        domain: [0.46, 1],
      },
      yaxis2: { title: { text: 'cosine' }, domain: [0, 0.4] },
      shapes: [
        {
          type: 'line',
          xref: 'paper',
          x0: 0,
          x1: 1,
          yref: 'y2',
          y0: 1,
          y1: 1,
          line: { color: FONT.muted, width: 1, dash: 'dot' },
          layer: 'below',
        },
      ],
    },
    height: 620,
    legend: true,
  });
}

/** Ticks of the logarithmic axis; `foot` is where errors of 0 stand. */
function errorAxis(least: number, greatest: number, foot: number | null): object {
  const ticks = logTicks(least * 0.8, greatest * 1.25);
  return {
    range: [Math.log10((foot ?? least) * 0.8), Math.log10(greatest * 1.25)].map((end) => rounded(end)),
    tickmode: 'array',
    tickvals: foot === null ? ticks : [rounded(foot), ...ticks],
    ticktext: [...(foot === null ? [] : ['0']), ...ticks.map((tick) => inWords(tick))],
  };
}

const familyOf = (point: string): Family => FAMILIES.find(({ holds }) => holds(point)) ?? FAMILIES[FAMILIES.length - 1];

/** Rows of one kind of point each, first to last layer. */
function linesOf(rows: readonly Row[]): Row[][] {
  const byPoint = new Map<string, Row[]>();
  for (const row of rows) byPoint.set(row.point, [...(byPoint.get(row.point) ?? []), row]);
  return [...byPoint.values()].map((line) => line.toSorted((a, b) => (a.layer ?? 0) - (b.layer ?? 0)));
}

/** Places along depth: the embedding, the layers by their numbers, then what follows the last. */
function depthOf(rows: readonly Row[]): { of: (row: Row) => number; axis: object } {
  const layers = rows.flatMap(({ layer }) => layer ?? []);
  const first = layers.length === 0 ? 1 : Math.min(...layers);
  const last = layers.length === 0 ? 0 : Math.max(...layers);
  const outside = rows.filter(({ layer }) => layer === null).map(({ point }) => point);
  const before = outside.filter((point) => point === 'hook_embed');
  const after = [...new Set(outside.filter((point) => point !== 'hook_embed').map(partOf))];
  const numbers = Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
  const stride = Math.ceil(numbers.length / 32);
  const shown = numbers.filter((_, i) => i % stride === 0);
  const places = [
    ...before.map(() => ({ at: first - 1, label: 'embed' })),
    ...shown.map((layer) => ({ at: layer, label: String(layer) })),
    ...after.map((part, i) => ({ at: last + 1 + i, label: plainText(part) })),
  ];
  return {
    of: ({ layer, point }) => layer ?? (point === 'hook_embed' ? first - 1 : last + 1 + after.indexOf(partOf(point))),
    axis: {
      tickmode: 'array',
      tickvals: places.map(({ at }) => at),
      ticktext: places.map(({ label }) => label),
      range: [first - (before.length > 0 ? 1.4 : 0.4), last + after.length + 0.4],
    },
  };
}

/** "ln_final" of "ln_final.hook_scale". */
const partOf = (point: string): string => point.split('.')[0];
