import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { page, ROOT } from './pages.js';

/** All sources as one text. */
function sources(): string {
  const files = ['src', 'scripts'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(ROOT, folder, name)),
  );
  return files.filter((name) => /\.(ts|mjs)$/.test(name)).map((name) => readFileSync(name, 'utf8')).join('\n');
}

test('the lines that "It does not work" explains are ones that the code prints', () => {
  const { text } = page('docs/it-does-not-work.md');
  const cited = [
    ...text.matchAll(/^## `(.+)`$/gm),
    ...text.matchAll(/^\| (`[^|]+`)[^|]*\|/gm),
    ...text.matchAll(/^- \*\*(`.+?`)\*\*/gm),
    ...text.matchAll(/^(`.+?`) in the log/gm),
  ];
  // without names and values that are put in, and what the parts of a typed error are joined with
  const phrases = cited.flatMap(([, line]) => (line as string).replaceAll('`', '').split(/ ?… ?|: (?:found )?|, (?=Python|expected)/));
  const code = sources();
  assert.ok(phrases.length > 15);
  assert.deepEqual(phrases.filter((phrase) => !code.includes(phrase.replace(/^expected /, ''))), []);
});
