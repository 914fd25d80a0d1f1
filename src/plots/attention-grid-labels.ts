import { CATEGORICAL, FONT } from './theme.js';
import { tokenText } from './token-text.js';

interface Grid {
  tokens: readonly string[];
  layers: readonly number[];
  heads: number;
  kvHeads: number;
  /** Pixels of a map's side. */
  cell: number;
  /** Stretch of each column, from 0 to 1. */
  columns: readonly [number, number][];
  /** Stretch of each row, from 0 at the top to 1. */
  rows: readonly [number, number][];
  /** Pixels of all columns together, and of all rows. */
  plotWidth: number;
  plotHeight: number;
}

/** Pixels. */
const SIZE = { tokenHeight: 10, font: 9, largeFont: 11, band: 5, headRoom: 18, rim: 3 };
/** Width of a character of the tokens' font, of its size. */
const CHARACTER = 0.62;
/** Longest token at the edge, in characters. */
const LONGEST = 9;
/** Beside narrower maps stand numbers alone. */
const NARROW = 48;

/** Plotly's number of an axis: none for the first, then 2, 3, … */
export const axisNumber = (index: number): string => (index === 0 ? '' : String(index + 1));

/**
 * What stands around the maps: tokens (as many as find room) at the left and below, layers further left, heads above,
 * and over each key/value group a band of its colour, which runs on around the maps, never within them, as a faint
 * ground.
 */
export function edgeLabels(grid: Grid): { shapes: object[]; annotations: object[]; left: number; below: number } {
  const { tokens, layers, cell } = grid;
  const stride = Math.ceil((tokens.length * SIZE.tokenHeight) / cell);
  const labels = tokens.flatMap((token, position) =>
    position % stride === 0 ? [{ position, ...shortened(token) }] : [],
  );
  const fontSize = cell / tokens.length > 1.5 * SIZE.largeFont ? SIZE.largeFont : SIZE.font;
  const tokenRoom = Math.round(8 + CHARACTER * fontSize * Math.max(...labels.map(({ length }) => length)));
  const plain = { showarrow: false, borderpad: 0 };
  const small = { ...plain, font: { family: FONT.tokens, size: fontSize, color: FONT.color } };
  const rowLabels = layers.flatMap((layer, row) => [
    ...labels.map(({ position, text }) => ({
      ...small,
      text,
      xref: 'paper',
      x: 0,
      xanchor: 'right',
      xshift: -4,
      yref: `y${axisNumber(row)}`,
      y: position,
      yanchor: 'middle',
    })),
    {
      ...plain,
      ...(cell >= NARROW ? { text: `<b>layer ${layer}</b>`, textangle: -90 } : { text: `<b>L${layer}</b>` }),
      xref: 'paper',
      x: 0,
      xanchor: 'right',
      xshift: -tokenRoom,
      yref: `y${axisNumber(row)} domain`,
      y: 0.5,
      yanchor: 'middle',
    },
  ]);
  const columnLabels = grid.columns.flatMap((_, head) =>
    labels.map(({ position, text }) => ({
      ...small,
      text,
      textangle: -90,
      xref: `x${axisNumber(head)}`,
      x: position,
      xanchor: 'center',
      yref: 'paper',
      y: 0,
      yanchor: 'top',
      yshift: -4,
    })),
  );
  return {
    shapes: groupShapes(grid),
    annotations: [...rowLabels, ...columnLabels, ...headLabels(grid)],
    left: tokenRoom + (cell >= NARROW ? 24 : 40),
    below: tokenRoom,
  };
}

function shortened(token: string): { text: string; length: number } {
  const characters = Array.from(token);
  const short = characters.length > LONGEST ? `${characters.slice(0, LONGEST - 1).join('')}…` : token;
  return { text: tokenText(short), length: Math.min(LONGEST, Math.max(1, characters.length)) };
}

function headLabels({ columns, heads, kvHeads, cell }: Grid): object[] {
  const plain = {
    showarrow: false,
    borderpad: 0,
    xref: 'paper',
    yref: 'paper',
    y: 1,
    xanchor: 'center',
    yanchor: 'bottom',
  };
  const groupSize = heads / kvHeads;
  const wide = cell >= NARROW;
  const singles = columns.map(([from, to], head) => ({
    ...plain,
    text: wide ? `head ${head}` : String(head),
    x: (from + to) / 2,
    yshift: 1,
    font: { size: 11 },
  }));
  // one head per group: a second line would say the same again
  if (groupSize === 1) return singles;
  const groups = Array.from({ length: kvHeads }, (_, group) => {
    const [from, to] = [columns[group * groupSize][0], columns[(group + 1) * groupSize - 1][1]];
    const name = groupSize * cell >= 2 * NARROW ? `key/value head ${group}` : `kv ${group}`;
    return {
      ...plain,
      text: `<b>${name}</b>`,
      x: (from + to) / 2,
      yshift: SIZE.headRoom + SIZE.band + 2,
      font: { color: colorOf(group), size: 12 },
    };
  });
  return [...singles, ...groups];
}

function groupShapes({ columns, rows, heads, kvHeads, plotWidth, plotHeight }: Grid): object[] {
  const groupSize = heads / kvHeads;
  const [rimX, rimY] = [SIZE.rim / plotWidth, SIZE.rim / plotHeight];
  const foot = 1 + SIZE.headRoom / plotHeight;
  return Array.from({ length: kvHeads }, (_, group) => {
    const ofGroup = columns.slice(group * groupSize, (group + 1) * groupSize);
    const [x0, x1] = [ofGroup[0][0], ofGroup[groupSize - 1][1]];
    const style = { xref: 'paper', yref: 'paper', fillcolor: colorOf(group), line: { width: 0 } };
    const maps = rows.flatMap(([top, bottom]) =>
      ofGroup.map(([left, right]) => rectangle(left, 1 - bottom, right, 1 - top)),
    );
    return [
      { ...style, type: 'rect', x0, x1, y0: rounded(foot), y1: rounded(foot + SIZE.band / plotHeight) },
      {
        ...style,
        type: 'path',
        path: [rectangle(x0 - rimX, -rimY, x1 + rimX, 1 + rimY), ...maps].join(''),
        fillrule: 'evenodd',
        opacity: 0.2,
        layer: 'below',
      },
    ];
  }).flat();
}

const rounded = (share: number): number => Number(share.toFixed(5));

const rectangle = (x0: number, y0: number, x1: number, y1: number): string =>
  `M${rounded(x0)},${rounded(y0)}H${rounded(x1)}V${rounded(y1)}H${rounded(x0)}Z`;

const colorOf = (group: number): string => CATEGORICAL[group % CATEGORICAL.length];
