// npm run docs: writes docs/api.md from the doc comments of what src/index.ts exports, and docs/command-line.md from the
// help of each command. TypeDoc reads the sources by a TypeScript of its own, kept out of everyone's install.
import './setup/node-version.mjs';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheFolder, ROOT } from './setup/places.mjs';
import { run, tail } from './setup/run.mjs';

const TOOLS = ['typedoc@0.28.20', 'typedoc-plugin-markdown@4.14.1', 'typescript@5.9.3'];

async function must(command, args, options) {
  const { ok, output } = await run(command, args, options);
  if (!ok) throw new Error(`${command} ${args.join(' ')} failed:\n${tail(output, 20)}`);
  return output;
}

async function apiReference() {
  const tools = join(cacheFolder(), TOOLS.join('-').replaceAll('@', '-'));
  mkdirSync(tools, { recursive: true });
  await must('npm', ['install', '--prefix', tools, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', ...TOOLS]);
  const out = mkdtempSync(join(tmpdir(), 'nibblelens-docs-'));
  await must(process.execPath, [
    join(tools, 'node_modules', 'typedoc', 'bin', 'typedoc'),
    '--plugin', join(tools, 'node_modules', 'typedoc-plugin-markdown', 'dist', 'index.js'),
    '--entryPoints', 'src/index.ts', '--tsconfig', 'tsconfig.build.json',
    '--out', out, '--outputFileStrategy', 'modules', '--router', 'module', '--readme', 'none',
    '--hideBreadcrumbs', 'true', '--hidePageHeader', 'true', '--disableSources', 'true', '--excludePrivate', '--excludeInternal',
    '--parametersFormat', 'table', '--interfacePropertiesFormat', 'table', '--name', 'NibbleLens: the library',
  ], { cwd: ROOT });
  writeFileSync(join(ROOT, 'docs', 'api.md'), readFileSync(join(out, 'README.md'), 'utf8'));
  rmSync(out, { recursive: true });
}

await apiReference();
