import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { bytesInWords } from './numbers.js';
import { numberIn, orNull, readRows, text, type TableLike } from './rows.js';
import { CATEGORICAL, textOn } from './theme.js';
import { plainText } from './token-text.js';

/** Memory held by one kind of thing. */
export interface MemoryBarRow {
  readonly kind: string;
  readonly bytes: number;
  /** Of which model; for bars of several models. */
  readonly model?: string;
}

/** Share of the longest bar under which a part bears no label. */
const TOO_SHORT = 0.08;

/** Memory by kind, one stacked bar per model. Throws OptionError and ShapeError for bad rows. */
export function plotMemory(input: readonly MemoryBarRow[] | TableLike, { title }: FigureOptions = {}): Figure {
  const rows = readRows(input, { kind: text, bytes: numberIn(0), model: orNull(text) }, 'plotMemory');
  const models = [...new Set(rows.map(({ model }) => model))];
  const placeOf = new Map<string, number>();
  for (const model of models) {
    for (const [place, { kind }] of rows.filter((row) => row.model === model).entries()) {
      placeOf.set(kind, Math.min(place, placeOf.get(kind) ?? place));
    }
  }
  // kinds that stand first in one model stand first in all
  const kinds = [...placeOf].toSorted(([, a], [, b]) => a - b).map(([kind]) => kind);
  const bytesOf = (model: string | null, kind?: string): number =>
    rows
      .filter((row) => row.model === model && (kind ?? row.kind) === row.kind)
      .reduce((sum, { bytes }) => sum + bytes, 0);
  const totals = models.map((model) => bytesOf(model));
  const longest = Math.max(...totals);
  const [unit, name] = longest >= 2 ** 30 ? [2 ** 30, 'GiB'] : longest >= 2 ** 20 ? [2 ** 20, 'MiB'] : [2 ** 10, 'KiB'];
  return figureOf({
    title: title ?? 'Memory by kind',
    subtitle: models.map((model, i) => `${model === null ? '' : `${model} `}${bytesInWords(totals[i])}`).join(', '),
    data: kinds.map((kind, i) => {
      const bytes = models.map((model) => bytesOf(model, kind));
      return {
        type: 'bar',
        orientation: 'h',
        name: plainText(kind),
        y: models.map((_, row) => row),
        x: bytes.map((count) => Number((count / unit).toPrecision(5))),
        text: bytes.map((count) => (count < TOO_SHORT * longest ? '' : bytesInWords(count))),
        textposition: 'inside',
        insidetextfont: { color: textOn(CATEGORICAL[i % CATEGORICAL.length]) },
        insidetextanchor: 'middle',
        textangle: 0,
        customdata: bytes.map(bytesInWords),
        hovertemplate: '%{fullData.name}: %{customdata}<extra></extra>',
        marker: { color: CATEGORICAL[i % CATEGORICAL.length], line: { color: '#FFFFFF', width: 1 } },
      };
    }),
    layout: {
      barmode: 'stack',
      bargap: 0.3,
      legend: { traceorder: 'normal' },
      xaxis: { title: { text: `memory / ${name}` }, rangemode: 'tozero' },
      yaxis: {
        tickmode: 'array',
        tickvals: models.map((_, row) => row),
        ticktext: models.map((model) => plainText(model ?? '')),
        range: [models.length - 0.5, -0.5],
        showgrid: false,
        ticks: '',
      },
    },
    height: 170 + 60 * models.length,
    legend: true,
    margin: models.every((model) => model === null) ? { l: 24 } : {},
  });
}
