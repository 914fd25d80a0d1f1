import { OptionError } from '../base/errors.js';
import { checkWhole } from '../base/options.js';
import { axisNumber, edgeLabels } from './attention-grid-labels.js';
import { checkHeads, kvHeadOf, percentRows, shareBar } from './attention-pattern.js';
import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { counted } from './numbers.js';
import { NO_VALUE, SHARES } from './theme.js';
import { checkTokens, tokenText } from './token-text.js';

/** The attention of all heads over a text. */
export interface AttentionGridInput {
  /** How many layers, from 0 on, or which. */
  readonly layers: number | readonly number[];
  readonly heads: number;
  /** Key/value heads; each serves heads / kvHeads heads in a row. */
  readonly kvHeads: number;
  readonly tokens: readonly string[];
  /** Attention of one head [query, key]. */
  readonly pattern: (layer: number, head: number) => Float32Array;
}

/** A spec past this is too much for a notebook's file: some 2 MB. */
const MOST_CELLS = 800_000;
const MOST_TOKENS = 128;

/** Pixels: maps together are as wide as a page, or wider where each would be narrower than `narrowest`. */
const SIZE = { page: 800, narrowest: 36, gap: 5, groupGap: 22, rowGap: 7, top: 46 };

/** Stretches from 0 to 1 for cells of equal width with a gap before each but the first. */
function stretches(gaps: readonly number[]): [number, number][] {
  const cell = (1 - gaps.reduce((sum, gap) => sum + gap, 0)) / gaps.length;
  let at = 0;
  return gaps.map((gap) => {
    const start = at + gap;
    at = start + cell;
    return [Number(start.toFixed(5)), Number(Math.min(1, at).toFixed(5))];
  });
}

/**
 * Every head of every layer as small maps in one figure: rows are layers, columns heads, those that share a key/value
 * head stand together under a band of its colour. In each map queries run from top to bottom and keys from left to
 * right, "query → key" with its weight is under the pointer, and zooming into one map zooms all.
 * Throws OptionError and ShapeError for counts that do not fit or patterns that are not [tokens, tokens] of weights.
 */
export function plotAttentionGrid(input: AttentionGridInput, { title }: FigureOptions = {}): Figure {
  const where = 'plotAttentionGrid';
  const { heads, kvHeads, tokens, pattern } = input;
  const layers = layerNumbers(input.layers, where);
  checkHeads(heads, kvHeads, where);
  checkTokens(tokens, MOST_TOKENS, where);
  const count = (layers.length * heads * tokens.length * (tokens.length + 1)) / 2;
  if (count > MOST_CELLS) {
    throw new OptionError({
      thing: 'attention weights in one figure',
      found: count,
      expected: `at most ${MOST_CELLS}: fewer tokens, or some of the layers`,
      where,
    });
  }
  const groupSize = heads / kvHeads;
  const groupGap = Math.min(SIZE.groupGap, SIZE.page / 3 / kvHeads);
  const gaps = Array.from({ length: heads }, (_, head) =>
    head === 0 ? 0 : head % groupSize === 0 ? groupGap : SIZE.gap,
  );
  const allGaps = gaps.reduce((sum, pixels) => sum + pixels, 0);
  const cell = Math.max(SIZE.narrowest, (SIZE.page - allGaps) / heads);
  const width = heads * cell + allGaps;
  const columns = stretches(gaps.map((pixels) => pixels / width));
  const plotHeight = layers.length * cell + (layers.length - 1) * SIZE.rowGap;
  const rows = stretches(layers.map((_, row) => (row === 0 ? 0 : SIZE.rowGap / plotHeight)));
  const labels = tokens.map(tokenText);
  const axes = axesOf(columns, rows, labels);
  const edge = edgeLabels({ tokens, layers, heads, kvHeads, cell, columns, rows, plotWidth: width, plotHeight });
  return figureOf({
    title: title ?? `Attention of all ${layers.length * heads} heads`,
    subtitle:
      `${counted(layers.length, 'layer')} × ${counted(heads, 'head')} in ${counted(kvHeads, 'key/value group')}; ` +
      'in each map rows are queries, columns the keys that they look at',
    data: layers.flatMap((layer, row) =>
      Array.from({ length: heads }, (_, head) => ({
        type: 'heatmap',
        name: `layer ${layer}, head ${head}`,
        z: percentRows(pattern(layer, head), tokens.length, 1, `${where}, layer ${layer}, head ${head}`),
        xaxis: `x${axisNumber(head)}`,
        yaxis: `y${axisNumber(row)}`,
        coloraxis: 'coloraxis',
        hoverongaps: false,
        hovertemplate:
          '%{y} → %{x}: %{z:.1f} %' +
          `<extra>layer ${layer}, head ${head}<br>key/value head ${kvHeadOf(head, heads, kvHeads)}</extra>`,
      })),
    ),
    layout: {
      ...axes,
      plot_bgcolor: NO_VALUE,
      coloraxis: {
        cmin: 0,
        cmax: 100,
        colorscale: SHARES,
        colorbar: {
          ...shareBar,
          len: Math.min(1, 400 / plotHeight),
          y: 1,
          yanchor: 'top',
        },
      },
      shapes: edge.shapes,
      annotations: edge.annotations,
    },
    ...(width > SIZE.page + 1 ? { width: Math.round(width + edge.left + 110) } : {}),
    height: Math.round(plotHeight + 72 + SIZE.top + edge.below),
    margin: { l: edge.left, r: 24, t: SIZE.top, b: edge.below },
  });
}

function layerNumbers(layers: number | readonly number[], where: string): readonly number[] {
  if (typeof layers !== 'number') {
    checkWhole(where, 'layers', layers.length, 1);
    for (const layer of layers) checkWhole(where, 'layer', layer, 0);
    return layers;
  }
  checkWhole(where, 'layers', layers, 1);
  return Array.from({ length: layers }, (_, layer) => layer);
}

/** One x axis per column and one y axis per row; their ticks serve the hover text, `tokenLabels` are what is seen. */
function axesOf(
  columns: readonly [number, number][],
  rows: readonly [number, number][],
  labels: readonly string[],
): Record<string, object> {
  const shared = {
    tickmode: 'array',
    tickvals: labels.map((_, position) => position),
    ticktext: labels,
    showticklabels: false,
    automargin: false,
    ticks: '',
    showgrid: false,
    showline: false,
  };
  const x = columns.map((domain, i) => [
    `xaxis${axisNumber(i)}`,
    {
      ...shared,
      domain,
      range: [-0.5, labels.length - 0.5],
      anchor: `y${axisNumber(rows.length - 1)}`,
      ...(i > 0 ? { matches: 'x' } : {}),
    },
  ]);
  const y = rows.map(([from, to], i) => [
    `yaxis${axisNumber(i)}`,
    {
      ...shared,
      domain: [Number((1 - to).toFixed(5)), Number((1 - from).toFixed(5))],
      range: [labels.length - 0.5, -0.5],
      anchor: 'x',
      ...(i > 0 ? { matches: 'y' } : {}),
    },
  ]);
  return Object.fromEntries([...x, ...y]);
}
