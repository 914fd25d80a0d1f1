import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { inWords, rounded } from './numbers.js';
import { STANDS_OUT, USUAL } from './theme.js';
import { weightErrors, type WeightMatrixInput } from './weight-matrix.js';

/** An odd number, so that one bin is centred on 0. */
const BINS = 101;

/**
 * Histogram of what quantisation did to each weight, after − before, symmetric about 0.
 * Throws OptionError and ShapeError for sizes and arrays that do not fit, and for values that are not finite.
 */
export function plotQuantizationError(input: WeightMatrixInput, { title }: FigureOptions = {}): Figure {
  const errors = weightErrors(input, `plotQuantizationError, ${input.name}`);
  const bound = errors.reduce((most, error) => Math.max(most, Math.abs(error)), 0) || 1;
  const width = (2 * bound) / BINS;
  const counts = new Array<number>(BINS).fill(0);
  for (const error of errors) counts[Math.min(BINS - 1, Math.floor((error + bound) / width))]++;
  const squares = (values: Float32Array): number => values.reduce((sum, value) => sum + value * value, 0);
  const rms = Math.sqrt(squares(errors) / errors.length);
  const norm = squares(input.before);
  const relative = norm === 0 ? '' : `, ${inWords(100 * Math.sqrt(squares(errors) / norm))} % of the weights’ own`;
  const mark = { type: 'line', yref: 'paper', y0: 0, y1: 1, line: { color: STANDS_OUT, width: 1.5, dash: 'dash' } };
  return figureOf({
    title: title ?? `Quantisation error of ${input.name}`,
    subtitle: `${errors.length} weights; root mean square ${inWords(rms)}${relative}; largest ${inWords(bound)}`,
    data: [
      {
        type: 'bar',
        x: counts.map((_, bin) => rounded((bin - (BINS - 1) / 2) * width, 5)),
        y: counts.map((count) => rounded((100 * count) / errors.length)),
        width: rounded(width, 6),
        marker: { color: USUAL, line: { width: 0 } },
        hovertemplate: 'error %{x:.3~g}: %{y:.3~g} % of weights<extra></extra>',
      },
    ],
    layout: {
      xaxis: {
        title: { text: 'error: weight after − weight before' },
        range: [-1.02 * bound, 1.02 * bound],
        exponentformat: 'power',
      },
      yaxis: { title: { text: 'weights per bin / %' } },
      shapes: [-rms, rms].map((x) => ({ ...mark, x0: x, x1: x })),
      annotations: [
        {
          x: rms,
          yref: 'paper',
          y: 1,
          xanchor: 'left',
          yanchor: 'top',
          xshift: 4,
          text: '± root mean square',
          showarrow: false,
          font: { color: STANDS_OUT },
        },
      ],
    },
    height: 360,
  });
}
