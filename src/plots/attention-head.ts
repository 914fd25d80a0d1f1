import { checkWhole } from '../base/options.js';
import { percentRows, shareBar } from './attention-pattern.js';
import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { FONT, NO_VALUE, SHARES } from './theme.js';
import { checkTokens, tokenText } from './token-text.js';

/** One head's attention over a text. */
export interface AttentionHeadInput {
  readonly tokens: readonly string[];
  /** [query, key], rows add up to 1. */
  readonly pattern: Float32Array;
  readonly layer: number;
  readonly head: number;
  /** The key/value head that this head reads. */
  readonly kvHead?: number;
}

/** Most tokens on the axes; more cannot be read. */
const MOST_TOKENS = 128;
/** Pixels of a cell's side, for few and for many tokens. */
const CELL = { largest: 56, smallest: 10 };

/**
 * One head in detail: queries from top to bottom, keys from left to right, "query → key: weight" under the pointer.
 * Throws OptionError and ShapeError for a pattern that is not [tokens, tokens] of weights from 0 to 1.
 */
export function plotAttentionHead(
  { tokens, pattern, layer, head, kvHead }: AttentionHeadInput,
  { title }: FigureOptions = {},
): Figure {
  const where = `plotAttentionHead, layer ${layer}, head ${head}`;
  checkTokens(tokens, MOST_TOKENS, where);
  checkWhole(where, 'layer', layer, 0);
  checkWhole(where, 'head', head, 0);
  if (kvHead !== undefined) checkWhole(where, 'kvHead', kvHead, 0, head);
  const labels = tokens.map(tokenText);
  const z = percentRows(pattern, tokens.length, 1, where);
  const cell = Math.min(CELL.largest, Math.max(CELL.smallest, 560 / tokens.length));
  const fontSize = Math.min(12, Math.max(7, Math.floor(cell * 0.8)));
  const ticks = {
    tickmode: 'array',
    tickvals: labels.map((_, position) => position),
    ticktext: labels,
    tickfont: { family: FONT.tokens, size: fontSize },
    showgrid: false,
    showline: false,
    ticks: '',
    ticklabelstandoff: 4,
    constrain: 'domain',
  };
  const reads = kvHead === undefined ? '' : `; key/value head ${kvHead}`;
  const labelRoom = 0.62 * fontSize * Math.max(...tokens.map((token) => Math.min(16, Array.from(token).length)));
  return figureOf({
    title: title ?? `Attention of layer ${layer}, head ${head}`,
    subtitle: `rows are queries, columns the keys that they look at${reads}`,
    data: [
      {
        type: 'heatmap',
        z,
        zmin: 0,
        zmax: 100,
        colorscale: SHARES,
        xgap: 1,
        ygap: 1,
        hoverongaps: false,
        hovertemplate: '%{y} → %{x}: %{z:.1f} %<extra></extra>',
        colorbar: { ...shareBar, len: 1 },
      },
    ],
    layout: {
      plot_bgcolor: NO_VALUE,
      xaxis: {
        ...ticks,
        title: { text: 'key (looked at)' },
        tickangle: -90,
        range: [-0.5, tokens.length - 0.5],
        constraintoward: 'left',
      },
      yaxis: {
        ...ticks,
        title: { text: 'query (looks)' },
        range: [tokens.length - 0.5, -0.5],
        scaleanchor: 'x',
        constraintoward: 'top',
      },
    },
    width: Math.round(Math.max(480, 160 + labelRoom + cell * tokens.length)),
    height: Math.round(150 + labelRoom + cell * tokens.length),
  });
}
