// node scripts/picture.mjs [NOTEBOOK [FIGURE [FILE]]]: draws a figure of a saved notebook as a PNG file; by default the
// README's picture, the first one of 03-attention-maps. Needs Chromium: CHROMIUM=PATH if it is not /usr/bin/chromium.
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { chromium } from 'playwright-core';
import { packageFolder, ROOT } from './setup/places.mjs';

const FIGURE_MIME = 'application/vnd.plotly.v1+json';
/** Pixels of a figure that has no width of its own: those of a notebook's page. */
const PAGE_WIDTH = 900;
/** Pixels of the picture to one of the figure, for sharp text on dense screens. */
const SCALE = 2;

const [
  notebook = join(ROOT, 'notebooks', '03-attention-maps.ipynb'),
  number = '1',
  file = join(ROOT, 'docs', 'images', 'attention-maps.png'),
] = process.argv.slice(2);

const { cells } = JSON.parse(readFileSync(notebook, 'utf8'));
const figures = cells.flatMap(({ outputs = [] }) => outputs.flatMap(({ data }) => data?.[FIGURE_MIME] ?? []));
const figure = figures[Number(number) - 1];
if (figure === undefined) {
  process.stderr.write(`figure ${number} of ${notebook}: found ${figures.length} figures\n`);
  process.exit(2);
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
});
try {
  const { width = PAGE_WIDTH, height } = figure.layout;
  const page = await browser.newPage({ viewport: { width, height }, deviceScaleFactor: SCALE });
  await page.setContent('<!doctype html><body style="margin:0"><div id="figure"></div>');
  await page.addScriptTag({ path: join(packageFolder('plotly.js-dist'), 'plotly.js') });
  await page.evaluate(({ data, layout }) => window.Plotly.newPlot('figure', data, layout, { staticPlot: true }), figure);
  mkdirSync(dirname(file), { recursive: true });
  await page.screenshot({ path: file });
  console.log(`${file}  ${width * SCALE} × ${height * SCALE}, ${Math.round(statSync(file).size / 1000)} kB`);
} finally {
  await browser.close();
}
