import { FONT } from './theme.js';

/** Pixels of right margin that a level's label takes. */
export const LEVEL_MARGIN = 84;

/** A dashed line across the plot at one value of y, labelled in the margin to its right, where it hides no data. */
export function levelLine(
  y: number,
  label: string,
  { color, log = false }: { color: string; log?: boolean },
): { shapes: object[]; annotations: object[] } {
  return {
    shapes: [{ type: 'line', xref: 'paper', x0: 0, x1: 1, y0: y, y1: y, line: { color, width: 1.5, dash: 'dash' } }],
    annotations: [
      {
        xref: 'paper',
        x: 1,
        xanchor: 'left',
        xshift: 4,
        // an annotation's place on a logarithmic axis is the exponent, a shape's is the value
        y: log ? Math.log10(y) : y,
        yanchor: 'middle',
        align: 'left',
        text: label,
        showarrow: false,
        font: { color, size: FONT.size },
      },
    ],
  };
}
