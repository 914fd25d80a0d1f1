import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { chromium, type Browser, type Page } from 'playwright-core';
import type { FigureSpec } from '../../src/plots/index.js';

// Plotly says nothing of an attribute that it does not know: only drawing tells whether a spec is understood.

const CHROMIUM = [
  process.env.CHROMIUM_PATH ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
];
const executablePath = CHROMIUM.find((path) => existsSync(path));
const plotly = createRequire(import.meta.url).resolve('plotly.js-dist');

/** What the page is asked for. */
interface PageGlobals {
  Plotly: {
    newPlot(element: string, data: object[], layout: object, config: object): Promise<unknown>;
    validate(data: object[], layout: object): { msg: string }[] | undefined;
    purge(element: string): void;
  };
  document: { querySelectorAll(selector: string): Iterable<PageElement> };
}
interface PageElement {
  textContent: string | null;
  getBoundingClientRect(): { left: number; top: number; right: number; bottom: number; width: number };
}

describe('figures in a browser', { skip: executablePath ? false : 'no Chromium: set CHROMIUM_PATH' }, () => {
  let browser: Browser | undefined;
  let page: Page;

  before(async () => {
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
    page = await browser.newPage({ viewport: { width: 940, height: 700 } });
    await page.setContent('<!doctype html><body style="margin:0"><div id="figure"></div></body>');
    await page.addScriptTag({ path: plotly });
  });
  after(() => browser?.close());

  for (const file of readdirSync(new URL('snapshots/', import.meta.url))) {
    test(`${file} is drawn, every attribute understood, its texts inside it`, async () => {
      const spec = JSON.parse(readFileSync(new URL(`snapshots/${file}`, import.meta.url), 'utf8')) as FigureSpec;
      const drawn = await page.evaluate(async ({ data, layout, config }) => {
        const { Plotly, document } = globalThis as typeof globalThis & PageGlobals;
        const complaints = (Plotly.validate(data, layout) ?? []).map(({ msg }) => msg);
        await Plotly.newPlot('figure', data, layout, config);
        const [whole] = [...document.querySelectorAll('#figure .main-svg')].map((svg) => svg.getBoundingClientRect());
        const texts = [...document.querySelectorAll('#figure text')].map((text) => ({
          text: text.textContent ?? '',
          box: text.getBoundingClientRect(),
        }));
        const outside = texts
          .filter(({ box }) => box.width > 0)
          .filter(
            ({ box }) => box.left < -1 || box.top < -1 || box.right > whole.right + 1 || box.bottom > whole.bottom + 1,
          )
          .map(({ text }) => text);
        Plotly.purge('figure');
        return { complaints, outside, texts: texts.map(({ text }) => text) };
      }, spec);
      // `validate` takes every reference to a colour axis for wrong, right ones too
      assert.deepEqual(
        drawn.complaints.filter((message) => !/key coloraxis is set to an invalid value/.test(message)),
        [],
      );
      assert.deepEqual(drawn.outside, []);
      const { title, xaxis } = spec.layout as {
        title: { text: string };
        xaxis: { ticktext?: string[] };
      };
      const plain = (text: string): string =>
        text
          .replace(/<[^>]*>/g, '')
          .replaceAll('&lt;', '<')
          .replaceAll('&gt;', '>');
      for (const text of [title.text, ...(xaxis.ticktext ?? [])]) assert.ok(drawn.texts.includes(plain(text)), text);
    });
  }
});
