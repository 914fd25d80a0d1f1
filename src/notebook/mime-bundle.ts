import type { TableLike } from '../plots/rows.js';
import type { MimeBundle } from './cell.js';
import { tableView, type TableOptions } from './table-view.js';
import { viewBundle } from './view.js';

const DISPLAY = Symbol.for('Jupyter.display');
const FIGURE_MIME = 'application/vnd.plotly.v1+json';

/** A Plotly figure: traces and layout. */
export interface FigureLike {
  data: object[];
  layout: object;
  config?: object;
}

const isObject = (value: unknown): value is Record<PropertyKey, unknown> => typeof value === 'object' && value !== null;
const isMethod = (value: unknown): value is () => MimeBundle => typeof value === 'function';

const isFigure = (value: object): value is FigureLike =>
  'data' in value && Array.isArray(value.data) && 'layout' in value && isObject(value.layout);

const isTable = (value: object): value is TableLike =>
  ['numRows', 'columnNames', 'array'].every((name) => isMethod(Reflect.get(value, name)));

/**
 * The bundle by which a notebook shows a value: that of its own `[Symbol.for('Jupyter.display')]()`, a figure's or a
 * table's; null for all else.
 */
export function bundleOf(value: unknown, options: TableOptions = {}): MimeBundle | null {
  if (!isObject(value)) return null;
  if (isTable(value)) return viewBundle(tableView(value, options));
  const display = value[DISPLAY];
  if (isMethod(display)) return display.call(value);
  return isFigure(value) ? figureBundle(value) : null;
}

function figureBundle({ data, layout, config }: FigureLike): MimeBundle {
  const figure = { data, layout, ...(config === undefined ? {} : { config }) };
  return { [FIGURE_MIME]: figure, 'text/plain': `[figure] ${titleOf(layout)}`.trimEnd() };
}

function titleOf(layout: object): string {
  const title: unknown = Reflect.get(layout, 'title');
  const text = isObject(title) ? title['text'] : title;
  return typeof text === 'string' ? text.replace(/<[^>]*>/g, '') : '';
}
