import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { chromium, type Browser, type Locator, type Page } from 'playwright-core';
import { Lab, scripts, writeNotebook, type LabPage } from './lab.js';

const places = [
  process.env['CHROMIUM_PATH'] ?? '',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
];
const executablePath = places.find((path) => existsSync(path));
const { ensurePageScripts, jupyter, PAGE_OPTIONS } = await scripts();

function obstacle(): string | false {
  if (executablePath === undefined) return 'no Chromium: set CHROMIUM_PATH';
  if (jupyter(['lab']) === null) return 'no JupyterLab: run npm run setup where Python 3 is';
  return existsSync(new URL('../../dist/index.js', import.meta.url)) ? false : 'dist is not built';
}

const LINE = 2;
const MAP = 3;
const TABLE = 4;
const HOLD = 6;
const TYPED = 7;
const CELLS = [
  'md:# A throw-away notebook\n\nWith an equation, $e^{-t/\\tau}$.',
  `import { livePlot, show } from 'nibblelens';\nimport { table } from 'arquero';`,
  `const plot = livePlot('A sine', { x: 'step', y: 'height' });
for (let i = 0; i < 40; i++) {
  plot.add({ sine: Math.sin(i / 6) });
  await new Promise((go) => setTimeout(go, 5));
}`,
  `show({ data: [{ type: 'heatmap', z: [[0, 1, 2], [3, 4, 5]] }], layout: { title: { text: 'A map' }, height: 260 } });`,
  `show(table({ token: ['Once', ' upon'], p: [0.5, -0.25] }), { title: 'Tokens' });`,
  'let n = 0;',
];
const RUN = CELLS.length;
const LIVE = [...CELLS, 'await new Promise((go) => setTimeout(go, 10));\nwhile (true) n++;', '', 'n > 1000'];

/** The colours that a part of a page is painted in, as a share of its pixels; a picture that is not drawn has one. */
async function colours(page: Page, part: Locator): Promise<Map<string, number>> {
  const png = (await part.screenshot()).toString('base64');
  const counts = await page.evaluate(async (data) => {
    const { Image, document } = globalThis as unknown as DrawingGlobals;
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    const context = Object.assign(document.createElement('canvas'), {
      width: image.width,
      height: image.height,
    }).getContext('2d');
    context.drawImage(image, 0, 0);
    const pixels = context.getImageData(0, 0, image.width, image.height).data;
    const found: Record<string, number> = {};
    for (let i = 0; i < pixels.length; i += 4) {
      const colour = pixels.slice(i, i + 3).join(' ');
      found[colour] = (found[colour] ?? 0) + 4 / pixels.length;
    }
    return found;
  }, png);
  return new Map(Object.entries(counts));
}

interface DrawingGlobals {
  Image: new () => { src: string; width: number; height: number; decode(): Promise<void> };
  document: {
    createElement(tag: string): {
      getContext(kind: string): {
        drawImage(image: object, x: number, y: number): void;
        getImageData(x: number, y: number, width: number, height: number): { data: Uint8ClampedArray };
      };
    };
  };
}

/** Checks that a page shows the line, the map and the table; `outputOf` leads to a cell's output. */
async function checkDrawn(page: Page, outputOf: (cell: number) => Locator): Promise<void> {
  const line = outputOf(LINE).locator('path.js-line');
  await line.waitFor({ timeout: 30_000 });
  const points = ((await line.getAttribute('d')) ?? '').match(/[ML]/g) ?? [];
  assert.ok(points.length >= 30, `the line has ${points.length} points`);
  assert.equal(await outputOf(LINE).locator('.gtitle').textContent(), 'A sine');
  assert.ok(((await colours(page, outputOf(LINE))).get('0 114 178') ?? 0) > 0.0005, 'no blue line');

  await outputOf(MAP).locator('.heatmaplayer image').waitFor({ timeout: 30_000 });
  const broad = [...(await colours(page, outputOf(MAP)))].filter(([, share]) => share > 0.02);
  assert.ok(broad.length >= 6, `the map of six values shows ${broad.length - 1} colours`);

  const table = outputOf(TABLE).locator('.nl-table');
  await table.waitFor({ timeout: 30_000 });
  assert.equal(await table.locator('.nl-title').textContent(), 'Tokens');
  assert.deepEqual(await table.locator('th, td').allTextContents(), [
    'token',
    'p',
    'Once',
    '0.50',
    ' upon',
    '\u22120.25',
  ]);
}

describe('notebooks in a browser', { skip: obstacle() }, () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'nibblelens-lab-')));
  let browser: Browser;
  let lab: Lab;
  let live: LabPage;

  before(async () => {
    assert.equal(await ensurePageScripts(), null);
    writeNotebook(join(folder, 'live.ipynb'), LIVE);
    [browser, lab] = await Promise.all([
      chromium.launch({ executablePath, args: ['--no-sandbox'] }),
      Lab.start(folder),
    ]);
    live = await lab.open(browser, 'live.ipynb');
  });
  after(async () => {
    await browser?.close();
    await lab?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('figures, views and tables are drawn as cells run', async () => {
    for (let cell = 1; cell < RUN; cell++) await live.start(cell);
    await live.idle();
    assert.deepEqual(await Promise.all([1, 5].map((cell) => live.output(cell))), ['', '']);
    await checkDrawn(live.page, (cell) => live.cell(cell).locator('.jp-OutputArea-output'));
    assert.match((await live.cell(LINE).locator('.jp-InputPrompt').innerText()).trim(), /^\[2\]:$/);
  });

  test('the stop button ends a loop that follows an await; variables are kept', async () => {
    await live.start(HOLD);
    await live.page.waitForTimeout(500);
    const pressed = performance.now();
    await live.press('interrupt');
    await live.cell(HOLD).locator('.jp-OutputArea-output', { hasText: 'Interrupted' }).waitFor({ timeout: 10_000 });
    const ms = performance.now() - pressed;
    await live.idle();
    assert.ok(ms < 4000, `${ms} ms`);
    await live.start(HOLD + 2);
    await live
      .cell(HOLD + 2)
      .locator('.jp-OutputArea-output', { hasText: 'true' })
      .waitFor({ timeout: 10_000 });
  });

  test('Tab completes', async () => {
    const editor = live.cell(TYPED).locator('.cm-content');
    await editor.click();
    await editor.pressSequentially('plot.');
    await live.page.keyboard.press('Tab');
    const list = live.page.locator('.jp-Completer .jp-Completer-item');
    await list.first().waitFor({ timeout: 10_000 });
    assert.deepEqual((await list.locator('.jp-Completer-match').allInnerTexts()).sort(), ['add', 'figure']);
    await live.page.keyboard.press('Enter');
    await live.cell(TYPED).locator('.cm-content', { hasText: 'plot.add' }).waitFor({ timeout: 10_000 });
  });

  test('the restart button gives an idle kernel without variables', async () => {
    await live.press('restart');
    await live.page.locator('.jp-Dialog-footer .jp-mod-accept').click();
    await live.page.waitForTimeout(300);
    await live.idle();
    await live.start(HOLD + 2);
    await live
      .cell(HOLD + 2)
      .locator('.jp-OutputArea-output', { hasText: `Cannot find name 'n'` })
      .waitFor({ timeout: 20_000 });
  });

  test('a saved notebook shows them all where there is no kernel and no trust in it', async () => {
    await live.save();
    await live.close();
    // Another server, with another record of what it trusts, as the reader of a clone has.
    const other = await Lab.start(folder, { kernels: false });
    try {
      const reopened = await other.open(browser, 'live.ipynb', { kernel: false });
      await checkDrawn(reopened.page, (cell) => reopened.cell(cell).locator('.jp-OutputArea-output'));
      assert.equal(await reopened.trusted(LINE), false);
      await reopened.close();
    } finally {
      await other.stop();
    }
  });

  test('its exported page shows them all, from a file and offline', async () => {
    const nbconvert = jupyter(['nbconvert', '--to', 'html', ...PAGE_OPTIONS, join(folder, 'live.ipynb')]);
    assert.ok(nbconvert);
    const { command, args, env } = nbconvert;
    const { status, stderr } = spawnSync(command, args, { env: { ...process.env, ...env }, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    const file = join(folder, 'live.html');
    const context = await browser.newContext({ offline: true, viewport: { width: 1200, height: 1100 } });
    const page = await context.newPage();
    const asked: string[] = [];
    const errors: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('pageerror', ({ message }) => errors.push(message));
    await page.goto(pathToFileURL(file).href);
    await checkDrawn(page, (cell) => page.locator('.jp-Cell').nth(cell).locator('.jp-OutputArea-output'));
    assert.deepEqual(await page.locator('math mi, math mo').allTextContents(), ['e', '−', 't', '/', 'τ']);
    assert.deepEqual(errors, []);
    assert.deepEqual(
      asked.filter((url) => !/^(data|blob):/.test(url) && url !== pathToFileURL(file).href),
      [],
    );
    assert.doesNotMatch(readFileSync(file, 'utf8'), /<(script|link|img|iframe)\b[^>]*\b(src|href)=["']?(https?:)?\/\//);
    await context.close();
  });
});
