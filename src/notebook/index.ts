export { interruptSignal, type MimeBundle } from './cell.js';
export { livePlot, type LivePlot, type LivePlotOptions } from './live-plot.js';
export type { FigureLike } from './mime-bundle.js';
export { progress } from './progress.js';
export { show, type Showable } from './show.js';
export { stream, type StreamOptions, type TextSource } from './stream.js';
export type { TableOptions } from './table-view.js';
