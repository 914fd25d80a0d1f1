import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { inWords, rounded } from './numbers.js';
import { listOf, numberIn, readRows, text, type TableLike } from './rows.js';
import { STANDS_OUT, USUAL } from './theme.js';
import { tokenAxis, tokenText } from './token-text.js';

/** A token and its probability. */
export interface TokenProbability {
  readonly token: string;
  /** From 0 to 1. */
  readonly probability: number;
}

/** One generated token, its probability, and those that it was chosen from. */
export interface StepProbabilityRow extends TokenProbability {
  /** The likeliest tokens of the step, in any order; the chosen one may be among them. */
  readonly alternatives?: readonly TokenProbability[];
}

/** Most alternatives shown for a step. */
const MOST_ALTERNATIVES = 5;
const GREYS = ['#AAB2BA', '#BCC3C9', '#CDD2D7', '#DCE0E3', '#E8EBED'];
const PROBABILITY = numberIn(0, 1.0001);

/**
 * Probability of each chosen token, the likeliest others stacked on top, so that a bar's rest up to 1 is what was
 * spread over all other tokens. Throws OptionError and ShapeError for bad rows.
 */
export function plotStepProbabilities(
  steps: readonly StepProbabilityRow[] | TableLike,
  { title }: FigureOptions = {},
): Figure {
  const columns = {
    token: text,
    probability: PROBABILITY,
    alternatives: listOf({ token: text, probability: PROBABILITY }),
  };
  const rows = readRows(steps, columns, 'plotStepProbabilities').map((row) => {
    const others = row.alternatives.toSorted((a, b) => b.probability - a.probability);
    const own = others.findIndex(({ token }) => token === row.token);
    if (own >= 0) others.splice(own, 1);
    return {
      ...row,
      others: others.slice(0, MOST_ALTERNATIVES),
      likeliest: !(others[0]?.probability > row.probability),
    };
  });
  const bars = (
    name: string,
    color: string,
    segment: (row: (typeof rows)[number]) => [number, string] | null,
  ): object => ({
    type: 'bar',
    name,
    x: rows.map((_, step) => step),
    y: rows.map((row) => rounded(segment(row)?.[0] ?? 0, 3) || null),
    customdata: rows.map((row) => segment(row)?.[1] ?? null),
    hovertemplate: '%{customdata}<extra>step %{pointNumber}</extra>',
    marker: { color, line: { color: '#FFFFFF', width: 0.5 } },
  });
  const chosen = (name: string, color: string, likeliest: boolean): object =>
    bars(name, color, (row) => (row.likeliest === likeliest ? [row.probability, candidates(row)] : null));
  const most = Math.max(...rows.map(({ others }) => others.length));
  const greedy = rows.filter(({ likeliest }) => likeliest).length;
  const mean = rows.reduce((sum, row) => sum + row.probability, 0) / rows.length;
  return figureOf({
    title: title ?? 'Probability of each generated token',
    subtitle: `mean ${inWords(mean)}; the likeliest token was chosen in ${greedy} of ${rows.length} steps`,
    data: [
      chosen('chosen, the likeliest', USUAL, true),
      chosen('chosen, though another was likelier', STANDS_OUT, false),
      ...Array.from({ length: most }, (_, rank) => ({
        ...bars('likeliest others', GREYS[rank], ({ others }) =>
          rank < others.length ? [others[rank].probability, `${inHover(others[rank])}, not chosen`] : null,
        ),
        legendgroup: 'others',
        showlegend: rank === 0,
      })),
    ],
    layout: {
      barmode: 'stack',
      xaxis: tokenAxis(
        rows.map(({ token }) => token),
        'generated token',
      ),
      yaxis: { title: { text: 'probability' }, range: [0, 1] },
    },
    height: 400,
    legend: true,
  });
}

const inHover = ({ token, probability }: TokenProbability): string => `${tokenText(token)} ${inWords(probability)}`;

const candidates = (row: TokenProbability & { others: readonly TokenProbability[] }): string =>
  [`<b>${inHover(row)}</b>`, ...row.others.map(inHover)].join('<br>');
