import { Figure, figureOf, jupyterDisplay } from '../plots/figure.js';
import { currentCell, openOutput } from './cell.js';

/** How a live plot is drawn. */
export interface LivePlotOptions {
  /** Title of the horizontal axis; default 'step'. */
  x?: string;
  /** Title of the vertical axis, with its unit. */
  y?: string;
  /** Whether the vertical axis is logarithmic. */
  logarithmic?: boolean;
  /** Pixels; default 320. */
  height?: number;
}

/** Lines that grow while they are measured. */
export interface LivePlot {
  /** Adds a point to each line named; `x` is by default one more than the last. */
  add(values: { readonly [line: string]: number }, x?: number): void;
  /** The plot as it is now, to show or keep. */
  figure(): Figure;
}

interface Line {
  x: number[];
  y: number[];
}

/** A plot that is drawn anew, about 20 times a second at most, as points are added. */
export function livePlot(title: string, options: LivePlotOptions = {}): LivePlot {
  const { x: xTitle = 'step', y: yTitle = '', logarithmic = false, height = 320 } = options;
  const lines = new Map<string, Line>();
  let last = -1;
  const figure = (): Figure =>
    figureOf({
      title,
      height,
      legend: lines.size > 1,
      data: [...lines].map(([name, { x, y }]) => ({
        type: 'scatter',
        mode: x.length > 1 ? 'lines' : 'markers',
        name,
        x: x.slice(),
        y: y.slice(),
      })),
      layout: {
        xaxis: { title: { text: xTitle } },
        yaxis: { title: { text: yTitle }, type: logarithmic ? 'log' : 'linear' },
      },
    });
  const bundle = () => figure()[jupyterDisplay]();
  const update = currentCell() === null ? () => undefined : openOutput(bundle, () => undefined);
  return {
    add(values, x = last + 1) {
      last = x;
      for (const [name, value] of Object.entries(values)) {
        const line = lines.get(name) ?? { x: [], y: [] };
        lines.set(name, line);
        line.x.push(x);
        line.y.push(value);
      }
      update(bundle);
    },
    figure,
  };
}
