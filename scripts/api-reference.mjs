// The API reference: what the package's entry points export, as its declarations say it, in Markdown.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative, sep } from 'node:path';
import { ROOT } from './setup/places.mjs';

/** Title of each room's section, in the order of the page. */
const SECTIONS = {
  '': 'Opening a model',
  generation: 'Generating text',
  lens: 'Looking inside, and changing it',
  comparison: 'Comparing two models',
  plots: 'Figures',
  notebook: 'In a notebook cell',
  quantization: 'Quantising',
  checkpoint: 'Checkpoints',
  tokenizer: 'Tokenizers',
  model: 'Run records and graphs',
  layers: 'Layers and named points',
  ops: 'Ops',
  matrix: 'Weight matrices',
  native: 'KV caches',
  kernels: 'Backends and environment',
  base: 'Errors, log and version',
};

/** Pages by their file names, and `README.md` that leads to them. Reads dist/, so build first. */
export function apiReference() {
  const { name, exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const entries = Object.entries(exports).filter(([, { types }]) => types !== undefined);
  const ts = createRequire(import.meta.url)('@tslab/typescript-for-tslab');
  const program = ts.createProgram(entries.map(([, { types }]) => join(ROOT, types)), {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    types: [],
  });
  const pages = entries.map(([path, { types }]) => {
    const file = path === '.' ? `${name}.md` : `${path.slice('./'.length)}.md`;
    const symbols = exportsOf(ts, program, join(ROOT, types));
    const sections = inSections(symbols);
    return { file, title: path === '.' ? name : `${name}${path.slice(1)}`, sections, anchors: anchorsOf(sections) };
  });
  return new Map([['README.md', contents(pages)], ...pages.map((page) => [page.file, render(page)])]);
}

/** `{ name, room, comment, code }` of everything that an entry point exports from this package's own files. */
function exportsOf(ts, program, entry) {
  const checker = program.getTypeChecker();
  const own = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)));
  return own.map((symbol) => {
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    const nodes = target.declarations.map((node) => (ts.isVariableDeclaration(node) ? node.parent.parent : node));
    const [folder, ...below] = relative(join(ROOT, 'dist'), nodes[0].getSourceFile().fileName).split(sep);
    return {
      name: symbol.name,
      room: below.length > 0 ? folder : '',
      comment: nodes.flatMap((node) => node.jsDoc ?? []).map((node) => prose(node.getText())).join('\n\n'),
      code: nodes.map((node) => code(node.getText())).join('\n'),
    };
  });
}

/** The text of a doc comment. */
const prose = (comment) =>
  comment
    .replace(/^\/\*\*|\*\/$/g, '')
    .replace(/^[ \t]*\* ?/gm, '')
    .replace(/^@throws /gm, '\nThrows ')
    .replace(/^@(\w+) /gm, '\n$1: ')
    .trim();

/** A declaration as one would write it by hand: without what all have in common and what no one can use. */
const code = (text) =>
  text
    .replace(/^export (default )?/, '')
    .replace(/^declare /, '')
    .replace(/^\s*(#private|private [^;]*);\n/gm, '')
    .replace(/^( {4})+/gm, (indent) => indent.slice(indent.length / 2))
    .replace(/ +$/gm, '');

function inSections(symbols) {
  const unknown = symbols.find(({ room }) => SECTIONS[room] === undefined);
  if (unknown) throw new Error(`${unknown.name}: found room ${unknown.room}, expected one of ${Object.keys(SECTIONS)}`);
  return Object.entries(SECTIONS)
    .map(([room, title]) => ({ title, symbols: symbols.filter((symbol) => symbol.room === room) }))
    .filter(({ symbols }) => symbols.length > 0);
}

const HEADER = '<!-- Written by npm run docs from the declarations; do not edit. -->';

function contents(pages) {
  const parts = pages.map(({ file, title, sections, anchors }) => [
    `## \`${title}\``,
    ...sections.map((section) => {
      const rows = section.symbols.map(({ name, comment }) => `| [\`${name}\`](${file}#${anchors.get(name)}) | ${firstSentence(comment)} |`);
      return `### ${section.title}\n\n| | |\n|---|---|\n${rows.join('\n')}`;
    }),
  ].join('\n\n'));
  return `${HEADER}\n\n# API reference\n\n${parts.join('\n\n')}\n`;
}

function render({ title, sections, anchors }) {
  const parts = sections.map((section) => `## ${section.title}\n\n${section.symbols.map((symbol) => entry(symbol, anchors)).join('\n\n')}`);
  return `${HEADER}\n\n# \`${title}\`\n\n${parts.join('\n\n')}\n`;
}

function entry({ name, comment, code: text }, anchors) {
  const mentioned = [...new Set(text.match(/\b[A-Za-z]\w*\b/g))].filter((word) => word !== name && anchors.has(word));
  const links = mentioned.map((word) => `[\`${word}\`](#${anchors.get(word)})`).join(', ');
  return [`### ${name}`, comment, `\`\`\`ts\n${text}\n\`\`\``, links && `See ${links}.`].filter(Boolean).join('\n\n');
}

/** The anchors that GitHub gives the headings of a page, by name: a name that differs in case alone gets a number. */
function anchorsOf(sections) {
  const seen = new Map();
  const names = sections.flatMap(({ symbols }) => symbols.map(({ name }) => name));
  return new Map(
    names.map((name) => {
      const anchor = name.toLowerCase();
      const before = seen.get(anchor) ?? 0;
      seen.set(anchor, before + 1);
      return [name, before === 0 ? anchor : `${anchor}-${before}`];
    }),
  );
}

/** The first sentence of a comment, on one line fit for a table. */
const firstSentence = (comment) =>
  /^[^]*?(?:\.(?=\s|$)|$)/.exec(comment.split('\n\n')[0])[0].replaceAll('\n', ' ').replaceAll('|', '\\|');
