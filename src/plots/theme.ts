/**
 * Colours for kinds of things, told apart with any colour vision: M. Okabe and K. Ito, "Color Universal Design" (2008),
 * their order changed so that neighbours differ in lightness too, and yellow, too faint on white, left out.
 */
export const CATEGORICAL: readonly string[] = [
  '#0072B2',
  '#D55E00',
  '#009E73',
  '#CC79A7',
  '#E69F00',
  '#56B4E9',
  '#4D4D4D',
];

/** Names for the two colours that carry a meaning: the usual, and what stands out. */
export const USUAL = '#0072B2';
export const STANDS_OUT = '#D55E00';

/** From none to all, light to dark: ColorBrewer's "Blues" (C. Brewer, 2002, colorbrewer2.org). */
export const SEQUENTIAL: readonly [number, string][] = evenly([
  '#F7FBFF',
  '#DEEBF7',
  '#C6DBEF',
  '#9ECAE1',
  '#6BAED6',
  '#4292C6',
  '#2171B5',
  '#08519C',
  '#08306B',
]);

/**
 * The same for shares that add up to 1, most of which are small: the place of a colour is its square, so that 1 % looks
 * unlike 0 and 50 % unlike 100 %.
 */
export const SHARES: readonly [number, string][] = SEQUENTIAL.map(([at, color]) => [
  Number((at * at).toFixed(4)),
  color,
]);

/** Signed values, white at 0, blue below, red above: ColorBrewer's "RdBu", safe for red-green blindness. */
export const DIVERGING: readonly [number, string][] = evenly([
  '#053061',
  '#2166AC',
  '#4393C3',
  '#92C5DE',
  '#D1E5F0',
  '#F7F7F7',
  '#FDDBC7',
  '#F4A582',
  '#D6604D',
  '#B2182B',
  '#67001F',
]);

/** Behind the maps of heatmaps: where there is no value, such as the masked half of an attention pattern. */
export const NO_VALUE = '#E9ECEF';

export const FONT = {
  family: 'Inter, "Helvetica Neue", Helvetica, Arial, "DejaVu Sans", sans-serif',
  /** Of tokens: every character seen, widths alike. */
  tokens: '"JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  size: 12,
  color: '#24292F',
  muted: '#5B6570',
};

/** White, or the text's own colour on a ground of more than half of white's luminance (Rec. 601). */
export function textOn(color: string): string {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue > 127.5 ? FONT.color : '#FFFFFF';
}

const AXIS = {
  automargin: true,
  gridcolor: '#E6E8EB',
  linecolor: '#B8BEC5',
  showline: true,
  ticks: 'outside',
  ticklen: 4,
  tickcolor: '#B8BEC5',
  zeroline: false,
  title: { standoff: 10, font: { size: FONT.size + 1 } },
};

/** The look of all figures. White, also on a dark page, so that every colour means what it says. */
export const TEMPLATE = {
  layout: {
    font: { family: FONT.family, size: FONT.size, color: FONT.color },
    title: {
      font: { size: 16, color: FONT.color },
      x: 0,
      xref: 'container',
      xanchor: 'left',
      y: 1,
      yref: 'container',
      yanchor: 'top',
      pad: { l: 16, t: 16 },
    },
    paper_bgcolor: '#FFFFFF',
    plot_bgcolor: '#FFFFFF',
    colorway: CATEGORICAL,
    xaxis: AXIS,
    yaxis: AXIS,
    legend: { orientation: 'h', x: 0, xanchor: 'left', y: 1, yanchor: 'bottom', bgcolor: 'rgba(255,255,255,0)' },
    hoverlabel: {
      bgcolor: '#FFFFFF',
      bordercolor: '#8A939C',
      font: { family: FONT.tokens, size: 12, color: FONT.color },
      align: 'left',
    },
    hovermode: 'closest',
    bargap: 0.15,
  },
};

/** The scale's colours at even distances from 0 to 1. */
function evenly(colors: readonly string[]): [number, string][] {
  return colors.map((color, i) => [Number((i / (colors.length - 1)).toFixed(4)), color]);
}
