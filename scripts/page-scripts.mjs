// What notebooks and exported pages draw with, made from npm packages: a minified plotly.js, and temml for equations.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { packageFolder, ROOT } from './setup/places.mjs';

const STATIC = join(ROOT, 'jupyter', 'labextensions', 'nibblelens-figures', 'static');

/** What is made, and from which files of which packages. */
const SCRIPTS = [
  { name: 'plotly.min.js', from: 'plotly.js-dist', file: 'plotly.js', make: minify },
  { name: 'temml.min.js', from: 'temml', file: join('dist', 'temml.min.js') },
  { name: 'temml.css', from: 'temml', file: join('dist', 'Temml-Local.css'), make: withFonts },
];

/**
 * Sees that the extension has its scripts, as files of its own (JupyterLab serves no links). A published package brings
 * them along; a clone makes them. Gives null, or why there are none.
 */
export async function ensurePageScripts() {
  for (const { name, from, file, make = copy } of SCRIPTS) {
    const target = join(STATIC, name);
    const folder = packageFolder(from);
    if (folder === null) {
      if (existsSync(target)) continue;
      return `the package ${from} is not installed: run npm install`;
    }
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const head = `/* ${from} ${version}, ${make.name} */\n`;
    if (existsSync(target) && readFileSync(target, 'utf8').startsWith(head)) continue;
    const text = head + (await make(join(folder, file)));
    const made = `${target}.${process.pid}`;
    try {
      writeFileSync(made, text);
      renameSync(made, target);
    } catch (error) {
      return `a script that draws figures cannot be written: ${error.message}`;
    }
  }
  return null;
}

const copy = (file) => readFileSync(file, 'utf8');

/** A style sheet with its fonts inside, as a page is one file. */
function withFonts(file) {
  const inside = (_, name) => `url(data:font/woff2;base64,${readFileSync(join(dirname(file), name), 'base64')})`;
  return readFileSync(file, 'utf8').replace(/url\('([^']+\.woff2)'\)/g, inside);
}

async function minify(file) {
  const source = readFileSync(file, 'utf8');
  try {
    const { transform } = await import('esbuild');
    return (await transform(source, { minify: true, legalComments: 'eof' })).code;
  } catch (error) {
    // Without development dependencies the original serves as well.
    if (error.code === 'ERR_MODULE_NOT_FOUND') return source;
    throw error;
  }
}
