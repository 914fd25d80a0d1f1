import { FONT, TEMPLATE } from './theme.js';
import { plainText } from './token-text.js';

/** The name under which Jupyter front ends know a Plotly figure. */
export const PLOTLY_MIME = 'application/vnd.plotly.v1+json';

/** tslab shows a value by the MIME bundle that its method of this name returns. */
export const jupyterDisplay: unique symbol = Symbol.for('Jupyter.display') as typeof jupyterDisplay;

/** A Plotly figure as plain JSON: traces, layout, and how it behaves. */
export interface FigureSpec {
  data: object[];
  layout: object;
  config: object;
}

/** What every plot takes besides its data. */
export interface FigureOptions {
  /** In place of the plot's own title: the finding that the picture shows. */
  title?: string;
}

/** A picture as a Plotly spec. Nothing is drawn here: a notebook, or `Plotly.newPlot`, draws it. */
export class Figure {
  readonly data: object[];
  readonly layout: object;
  readonly config: object;
  readonly title: string;

  constructor(title: string, { data, layout, config }: FigureSpec) {
    this.title = title;
    this.data = data;
    this.layout = layout;
    this.config = config;
  }

  toJSON(): FigureSpec {
    return { data: this.data, layout: this.layout, config: this.config };
  }

  /** The MIME bundle by which a notebook shows this figure. */
  [jupyterDisplay](): { [mime: string]: object | string } {
    return { [PLOTLY_MIME]: this.toJSON(), 'text/plain': `[figure] ${this.title}` };
  }
}

/** Free tokens ("$x$") are never formulas, so no typesetting. */
const CONFIG = { responsive: true, displaylogo: false, typesetMath: false };

/** Pixels above the plotting area: title, then subtitle and legend where there are some. */
const MARGIN_TOP = { title: 52, subtitle: 20, legend: 26 };

interface FigureParts {
  title: string;
  /** One line under the title: figures, or how to read the picture. */
  subtitle?: string;
  data: object[];
  layout: object;
  /** Pixels of the whole figure. */
  height: number;
  /** That of the page, unless given. */
  width?: number;
  margin?: { l?: number; r?: number; t?: number; b?: number };
  legend?: boolean;
}

/**
 * A figure in the house's style. Title and subtitle are plain text; other texts are Plotly's pseudo-HTML, where what
 * comes from outside goes through `plainText` first.
 */
export function figureOf({
  title,
  subtitle,
  data,
  layout,
  height,
  width,
  margin = {},
  legend = false,
}: FigureParts): Figure {
  const top =
    MARGIN_TOP.title +
    (subtitle === undefined ? 0 : MARGIN_TOP.subtitle) +
    (legend ? MARGIN_TOP.legend : 0) +
    (margin.t ?? 0);
  return new Figure(title, {
    data,
    layout: {
      template: TEMPLATE,
      title: {
        text: `<b>${plainText(title)}</b>`,
        ...(subtitle === undefined
          ? {}
          : { subtitle: { text: plainText(subtitle), font: { size: FONT.size, color: FONT.muted } } }),
      },
      height,
      ...(width === undefined ? {} : { width }),
      margin: { l: 64, r: 24, b: 56, ...margin, t: top },
      showlegend: legend,
      ...layout,
    },
    config: CONFIG,
  });
}
