import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { LEVEL_MARGIN, levelLine } from './level-line.js';
import { inWords, rounded } from './numbers.js';
import { flag, numberIn, readRows, text, type TableLike } from './rows.js';
import { FONT, STANDS_OUT, USUAL } from './theme.js';
import { tokenAxis, tokenText } from './token-text.js';

/** How the prediction after one position differs between two models. */
export interface PositionKlRow {
  /** The token at the position; the prediction is of the one after it. */
  readonly token: string;
  /** KL(reference ‖ other) of the next token, in nats. */
  readonly kl: number;
  readonly referenceTop: string;
  readonly otherTop: string;
  /** Whether the likeliest next token changed. */
  readonly changed: boolean;
}

/**
 * KL divergence of two models' predictions at every position; positions where the likeliest token changed stand out.
 * Throws OptionError and ShapeError for bad rows.
 */
export function plotKlPerPosition(
  positions: readonly PositionKlRow[] | TableLike,
  { title }: FigureOptions = {},
): Figure {
  const columns = { token: text, kl: numberIn(0), referenceTop: text, otherTop: text, changed: flag };
  const rows = readRows(positions, columns, 'plotKlPerPosition');
  const mean = rows.reduce((sum, { kl }) => sum + kl, 0) / rows.length;
  const changes = rows.filter(({ changed }) => changed).length;
  const bars = (name: string, changed: boolean, marker: object): object => ({
    type: 'bar',
    name,
    x: rows.map((_, position) => position),
    y: rows.map((row) => (row.changed === changed ? rounded(row.kl) : null)),
    customdata: rows.map((row) => {
      const [token, reference, other] = [row.token, row.referenceTop, row.otherTop].map(tokenText);
      return [token, `likeliest next: ${row.changed ? `${reference} → ${other}` : `${reference} in both`}`];
    }),
    hovertemplate:
      'after %{customdata[0]} (position %{pointNumber})<br>KL %{y:.3~g} nats<br>%{customdata[1]}<extra></extra>',
    marker,
  });
  return figureOf({
    title: title ?? 'KL divergence of the next-token prediction at every position',
    subtitle:
      `mean ${inWords(mean)} nats per token; ` +
      `the likeliest next token changed at ${changes} of ${rows.length} positions`,
    data: [
      bars('likeliest token kept', false, { color: USUAL }),
      bars('likeliest token changed', true, {
        color: STANDS_OUT,
        // told apart in black and white too
        pattern: { fillmode: 'overlay', shape: '/', fgcolor: '#FFFFFF', fgopacity: 0.6, size: 6, solidity: 0.25 },
      }),
    ],
    layout: {
      barmode: 'overlay',
      xaxis: tokenAxis(
        rows.map(({ token }) => token),
        'token at the position',
      ),
      yaxis: { title: { text: 'KL(reference ‖ other) / nats' }, rangemode: 'tozero' },
      ...levelLine(mean, `mean<br>${inWords(mean)}`, { color: FONT.muted }),
    },
    margin: { r: LEVEL_MARGIN },
    height: 400,
    legend: true,
  });
}
