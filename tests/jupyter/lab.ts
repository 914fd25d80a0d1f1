import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Browser, Locator, Page } from 'playwright-core';

export interface JupyterCommand {
  command: string;
  args: string[];
  env: Record<string, string>;
}

interface Scripts {
  jupyter(args: readonly string[]): JupyterCommand | null;
  PAGE_OPTIONS: readonly string[];
  ensurePageScripts(): Promise<string | null>;
  runNotebook(file: string, options: { out: string }): Promise<{ ok: boolean; page: string; reason?: string }>;
}

/** Functions of the package's scripts, which are plain JavaScript. */
export async function scripts(): Promise<Scripts> {
  const load = async (name: string): Promise<Partial<Scripts>> =>
    (await import(new URL(`../../scripts/${name}.mjs`, import.meta.url).href)) as Partial<Scripts>;
  return { ...(await load('venv')), ...(await load('page-scripts')), ...(await load('notebooks')) } as Scripts;
}

/** Cells of a notebook: Markdown where the text begins with `md:`. */
export function writeNotebook(file: string, cells: readonly string[]): void {
  const json = {
    cells: cells.map((text, i) =>
      text.startsWith('md:')
        ? { cell_type: 'markdown', id: `cell-${i}`, metadata: {}, source: text.slice(3) }
        : { cell_type: 'code', id: `cell-${i}`, metadata: {}, source: text, execution_count: null, outputs: [] },
    ),
    metadata: {
      kernelspec: { name: 'nibblelens', display_name: 'TypeScript (NibbleLens)', language: 'typescript' },
      language_info: { name: 'typescript' },
    },
    nbformat: 4,
    nbformat_minor: 5,
  };
  writeFileSync(file, JSON.stringify(json));
}

/** All cells are in the page, not those in view alone; and no news are fetched. */
const SETTINGS = {
  'notebook-extension/tracker': { windowingMode: 'none' },
  'apputils-extension/notification': { fetchNews: 'false', checkForUpdates: false },
};

/** JupyterLab on a folder, with settings of its own. */
export class Lab {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #home: string;

  private constructor(url: string, child: ChildProcess, home: string) {
    this.url = url;
    this.#child = child;
    this.#home = home;
  }

  /** Starts a server; without `kernels` it has none to offer. */
  static async start(folder: string, { kernels = true } = {}): Promise<Lab> {
    const token = randomUUID();
    const home = mkdtempSync(join(tmpdir(), 'nibblelens-lab-home-'));
    const { jupyter } = await scripts();
    const found = jupyter([
      'lab',
      '--no-browser',
      '--allow-root',
      '--ServerApp.ip=127.0.0.1',
      '--ServerApp.port=0',
      `--IdentityProvider.token=${token}`,
      '--LabApp.expose_app_in_browser=True',
      '--ServerApp.jpserver_extensions={"jupyter_lsp":False,"jupyter_server_terminals":False}',
      ...(kernels
        ? []
        : ['--KernelSpecManager.allowed_kernelspecs=none', '--KernelSpecManager.ensure_native_kernel=False']),
      folder,
    ]);
    if (found === null) throw new Error('no JupyterLab');
    const own = Object.fromEntries(
      [
        'JUPYTER_CONFIG_DIR',
        'JUPYTER_DATA_DIR',
        'JUPYTER_RUNTIME_DIR',
        'JUPYTERLAB_SETTINGS_DIR',
        'JUPYTERLAB_WORKSPACES_DIR',
      ].map((name) => [name, join(home, name)]),
    );
    for (const [name, settings] of Object.entries(SETTINGS)) {
      const file = join(own['JUPYTERLAB_SETTINGS_DIR'], '@jupyterlab', `${name}.jupyterlab-settings`);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, JSON.stringify(settings));
    }
    const child = spawn(found.command, found.args, {
      env: { ...process.env, ...found.env, ...own },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const address = await new Promise<string>((resolve, reject) => {
      let log = '';
      child.on('exit', () => reject(new Error(`JupyterLab ended:\n${log}`)));
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        log += text;
        const match = /http:\/\/127\.0\.0\.1:\d+\//.exec(log);
        if (match) resolve(match[0]);
      });
    });
    return new Lab(`${address}lab/tree/NAME?token=${token}&reset`, child, home);
  }

  /** Opens a notebook; with its kernel, or without where the server has none. */
  async open(browser: Browser, name: string, { kernel = true, dark = false } = {}): Promise<LabPage> {
    const page = await browser.newPage({ viewport: { width: 1200, height: 1100 } });
    await page.goto(this.url.replace('NAME', name), { waitUntil: 'domcontentloaded' });
    await page.waitForSelector('.jp-Notebook .jp-Cell', { timeout: 60_000 });
    const lab = new LabPage(page);
    await lab.command('apputils:change-theme', { theme: dark ? 'JupyterLab Dark' : 'JupyterLab Light' });
    if (kernel) await lab.idle();
    else await page.locator('.jp-Dialog-footer button', { hasText: 'No Kernel' }).click({ timeout: 60_000 });
    return lab;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.on('exit', resolve));
    this.#child.kill('SIGTERM');
    await ended;
    rmSync(this.#home, { recursive: true, force: true });
  }
}

/** What of JupyterLab's application object is used here; it runs in the browser. */
interface Application {
  commands: { execute(id: string, args: object): Promise<unknown> };
  shell: {
    currentWidget: {
      context: { save(): Promise<void> };
      content: { activeCellIndex: number; widgets: { model: { trusted: boolean } }[] };
      sessionContext: { session: { kernel: { status: string; connectionStatus: string } | null } | null };
    };
  };
}
declare const window: { jupyterapp: Application };

export class LabPage {
  constructor(readonly page: Page) {}

  /** Runs one of JupyterLab's commands to its end. */
  async command(id: string, args: object = {}): Promise<void> {
    await this.page.waitForFunction(() => Boolean(window.jupyterapp?.shell.currentWidget), null, { timeout: 30_000 });
    await this.page.evaluate(
      async ([name, options]) => void (await window.jupyterapp.commands.execute(name, options)),
      [id, args] as const,
    );
  }

  /** Waits until the kernel has nothing to do. */
  async idle(timeout = 60_000): Promise<void> {
    await this.page.waitForFunction(
      () => {
        const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext.session?.kernel;
        return kernel?.status === 'idle' && kernel.connectionStatus === 'connected';
      },
      null,
      { timeout },
    );
  }

  /** Starts a cell, by its index, and does not wait. */
  async start(cell: number): Promise<void> {
    await this.page.evaluate((index) => {
      window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;
      void window.jupyterapp.commands.execute('notebook:run-cell', {});
    }, cell);
  }

  /** Presses a button of the notebook's toolbar. */
  async press(button: 'interrupt' | 'restart'): Promise<void> {
    const item = `.jp-NotebookPanel-toolbar [data-jp-item-name="${button}"]`;
    await this.page.click(`${item} jp-button, ${item} button`);
  }

  cell(index: number): Locator {
    return this.page.locator('.jp-Notebook .jp-Cell').nth(index);
  }

  /** The text of a cell's outputs. */
  async output(cell: number): Promise<string> {
    return (await this.cell(cell).locator('.jp-OutputArea-output').allInnerTexts()).join('\n');
  }

  /** Whether JupyterLab trusts a cell to run scripts of its own. */
  async trusted(cell: number): Promise<boolean> {
    return this.page.evaluate(
      (index) => window.jupyterapp.shell.currentWidget.content.widgets[index].model.trusted,
      cell,
    );
  }

  async save(): Promise<void> {
    await this.page.evaluate(() => window.jupyterapp.shell.currentWidget.context.save());
  }

  async close(): Promise<void> {
    await this.page.close();
  }
}
