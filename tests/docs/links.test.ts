import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, test } from 'node:test';
import { page, pages, proseOf, ROOT, type Page } from './pages.js';

/** The anchors that GitHub gives the headings of a page. */
function anchors(of: Page): Set<string> {
  const seen = new Map<string, number>();
  const found = new Set<string>();
  for (const [, heading] of proseOf(of).matchAll(/^#{1,6} (.+)$/gm)) {
    const anchor = (heading as string)
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-');
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    found.add(before === 0 ? anchor : `${anchor}-${before}`);
  }
  return found;
}

/** What is wrong with the links of a page. */
function brokenLinks(of: Page): string[] {
  return [...proseOf(of).matchAll(/\]\(([^()\s]+)\)|<img [^>]*src="([^"]+)"/g)]
    .map(([, link, source]) => (link ?? source) as string)
    .filter((link) => !/^https?:/.test(link))
    .flatMap((link) => {
      const [path, anchor] = link.split('#') as [string, string?];
      const target = normalize(join(dirname(of.path), path));
      if (path !== '' && !existsSync(join(ROOT, target))) return [`${of.path}: no ${link}`];
      if (anchor === undefined || anchors(path === '' ? of : page(target)).has(anchor)) return [];
      return [`${of.path}: no heading for ${link}`];
    });
}

describe('links within the pages', () => {
  test('lead to files and headings that are there', () => {
    const all = pages();
    assert.ok(all.length > 8);
    assert.deepEqual(all.flatMap(brokenLinks), []);
  });

  test('a broken one would be found', () => {
    const text = '# One: `it`\n[a](no-such.md) [b](#two) [c](#one-it) [d](https://example.org) [e](logging.md#no-such)';
    assert.deepEqual(brokenLinks({ path: 'docs/page.md', text }), [
      'docs/page.md: no no-such.md',
      'docs/page.md: no heading for #two',
      'docs/page.md: no heading for logging.md#no-such',
    ]);
  });
});
