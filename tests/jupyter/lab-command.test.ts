import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { scripts } from './lab.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What makes pages, where its contents do not matter. */
const PAGE_SCRIPTS = ['plotly.min.js', 'temml.min.js', 'temml.css'];

describe('npm run lab', () => {
  const work = mkdtempSync(join(tmpdir(), 'nibblelens-lab-command-'));
  after(() => rmSync(work, { recursive: true, force: true }));

  // Like an installed package: no sources, so nothing is built.
  const root = join(work, 'package');
  const statics = join(root, 'jupyter', 'labextensions', 'nibblelens-figures', 'static');
  mkdirSync(statics, { recursive: true });
  cpSync(join(ROOT, 'scripts'), join(root, 'scripts'), { recursive: true });
  cpSync(join(ROOT, 'jupyter', 'requirements.txt'), join(root, 'jupyter', 'requirements.txt'));
  writeFileSync(join(root, 'package.json'), '{ "name": "nibblelens", "type": "module" }');
  for (const name of PAGE_SCRIPTS) writeFileSync(join(statics, name), '');

  function lab(args: readonly string[], env: NodeJS.ProcessEnv = {}): { status: number | null; stderr: string } {
    return spawnSync(process.execPath, [join(root, 'scripts', 'lab.mjs'), ...args], {
      encoding: 'utf8',
      cwd: work,
      env: { ...process.env, JUPYTER: '', NIBBLELENS_CACHE: join(work, 'cache'), ...env },
      timeout: 60_000,
    });
  }

  test('refuses a folder that is none', () => {
    assert.deepEqual(only(lab(['nowhere'])), {
      status: 2,
      stderr: `folder: found nothing at ${join(work, 'nowhere')}, expected a folder\n`,
    });
    const file = join(root, 'package.json');
    assert.deepEqual(only(lab([file])), { status: 2, stderr: `folder: found the file ${file}, expected a folder\n` });
  });

  test('says in one line what to install where there is no Python, each time', () => {
    for (let time = 0; time < 2; time++) {
      const { status, stderr } = lab(['.'], { PATH: join(work, 'empty') });
      assert.equal(status, 1);
      assert.match(
        stderr,
        /^JupyterLab cannot be opened: no Python 3\.10 or later was found; install Python 3\.10 or later with venv and pip and run this again, or set JUPYTER [^\n]+\n$/,
      );
    }
  });

  test('says in one line that $JUPYTER does not start', () => {
    assert.deepEqual(only(lab(['.'], { JUPYTER: '/no/such/jupyter' })), {
      status: 1,
      stderr: 'JupyterLab cannot be opened: /no/such/jupyter does not start (spawn /no/such/jupyter ENOENT)\n',
    });
  });

  test('says in one line that its port is taken', async (t) => {
    const { jupyter } = await scripts();
    const found = jupyter(['lab']);
    if (found === null) return t.skip('no JupyterLab: run npm run setup where Python 3 is');
    // A jupyter command, as $JUPYTER is one.
    const command = join(work, 'jupyter');
    writeFileSync(command, `#!/bin/sh\nshift\nexec '${found.command}' -m jupyterlab "$@"\n`, { mode: 0o755 });
    const server = createServer();
    await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
    const { port } = server.address() as AddressInfo;
    try {
      const { status, stderr } = lab(['.', '--no-browser', `--port=${port}`, '--ServerApp.port_retries=0'], {
        JUPYTER: command,
        JUPYTER_CONFIG_DIR: join(work, 'config'),
        JUPYTER_RUNTIME_DIR: join(work, 'runtime'),
        PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
      });
      assert.equal(status, 1);
      assert.match(
        stderr,
        new RegExp(`^[^\\n]*the Jupyter server could not be started because port ${port} is not available\\.\\n$`),
      );
    } finally {
      server.close();
    }
  });
});

const only = ({
  status,
  stderr,
}: {
  status: number | null;
  stderr: string;
}): { status: number | null; stderr: string } => ({ status, stderr });
