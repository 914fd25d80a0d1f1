import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Page {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
}

/** A fenced block of a page. */
export interface Block {
  readonly language: string;
  readonly text: string;
  /** Of the line of its opening fence, from 1. */
  readonly line: number;
}

const FOLDERS = ['.', 'docs', 'docs/api', 'data/storyteller', 'data/storyteller-int4', 'notebooks'];

/** All pages that a reader of the repository may open. */
export function pages(): Page[] {
  return FOLDERS.filter((folder) => existsSync(join(ROOT, folder))).flatMap((folder) =>
    readdirSync(join(ROOT, folder))
      .filter((name) => name.endsWith('.md'))
      .map((name) => page(join(folder, name))),
  );
}

export function page(path: string): Page {
  return { path, text: readFileSync(join(ROOT, path), 'utf8') };
}

export function blocks({ text }: Page): Block[] {
  return [...text.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map((match) => ({
    language: match[1] as string,
    text: match[2] as string,
    line: text.slice(0, match.index).split('\n').length,
  }));
}

/** A page without its fenced blocks. */
export const proseOf = ({ text }: Page): string => text.replace(/^```\w*\n[^]*?^```$/gm, '');
