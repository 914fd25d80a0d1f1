// npm run docs [-- --check]: writes docs/api/ from the declarations of what the package exports, and the help of each
// command into docs/command-line.md. With --check it writes nothing and fails where that would change a file.
import './setup/node-version.mjs';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { apiReference } from './api-reference.mjs';
import { ROOT } from './setup/places.mjs';
import { run } from './setup/run.mjs';
import { buildTypeScript } from './setup/typescript.mjs';

const API = 'docs/api';
const COMMAND_LINE = 'docs/command-line.md';

/** The page with the block after each `<!-- help: COMMAND -->` made anew. */
async function withHelp(page) {
  const parts = page.split(/^(<!-- help: [\w-]+ -->)\n(?:\n```text\n[^]*?\n```\n)?/m);
  const filled = parts.map(async (part) => {
    const [, command] = /^<!-- help: ([\w-]+) -->$/.exec(part) ?? [];
    if (command === undefined) return part;
    const { ok, output } = await run(process.execPath, [join(ROOT, 'dist', 'cli', 'main.js'), command, '--help']);
    if (!ok) throw new Error(`nibblelens ${command} --help failed: ${output}`);
    return `${part}\n\n\`\`\`text\n${output}\n\`\`\`\n`;
  });
  return (await Promise.all(filled)).join('');
}

/** What each generated file must hold, by its path; null for one that must not be. */
async function generated() {
  const pages = [...apiReference()].map(([name, text]) => [`${API}/${name}`, text]);
  const there = existsSync(join(ROOT, API)) ? readdirSync(join(ROOT, API)).map((name) => [`${API}/${name}`, null]) : [];
  const commandLine = await withHelp(readFileSync(join(ROOT, COMMAND_LINE), 'utf8'));
  return new Map([...there, ...pages, [COMMAND_LINE, commandLine]]);
}

function write(path, text) {
  if (text === null) return rmSync(path);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

async function main(check) {
  const { state, detail } = await buildTypeScript({ log: console.log });
  if (state === 'failed') throw new Error(detail);
  const stale = [...(await generated())].filter(([path, text]) => {
    const file = join(ROOT, path);
    return (existsSync(file) ? readFileSync(file, 'utf8') : null) !== text;
  });
  for (const [path, text] of stale) {
    if (!check) write(join(ROOT, path), text);
    console.log(`${check ? 'not current (npm run docs)' : 'written'}: ${path}`);
  }
  return check && stale.length > 0 ? 1 : 0;
}

try {
  process.exitCode = await main(process.argv.includes('--check'));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
