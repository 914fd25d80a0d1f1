import { LiteralMatcher } from './literal-matcher.js';

/** A token that is looked for in the text itself, before the subword model sees it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Not part of ordinary text: left out by `decode`, and parsed only with `parseSpecial`. */
  readonly special: boolean;
  /** Looked for in the normalised text. */
  readonly normalized: boolean;
  /** Takes the white space on its left with it. */
  readonly lstrip: boolean;
  /** Takes the white space on its right with it. */
  readonly rstrip: boolean;
  /** Is not found inside a word. */
  readonly singleWord: boolean;
}

/** A stretch [start, end) of a text: an added token, or (id −1) ordinary text between them. */
export interface Section {
  readonly start: number;
  readonly end: number;
  readonly id: number;
}

const WORD = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]/u;
const SPACE = /\s/;

/** Splits texts at added tokens: leftmost first, the longest of those that begin at one place. */
export class AddedTokenSplitter {
  readonly #matcher: LiteralMatcher;
  readonly #tokens = new Map<string, AddedToken>();

  /** `patterns` are the strings to look for; as a rule, the tokens' contents. */
  constructor(tokens: readonly AddedToken[], patternOf: (token: AddedToken) => string = ({ content }) => content) {
    for (const token of tokens) this.#tokens.set(patternOf(token), token);
    this.#matcher = new LiteralMatcher(this.#tokens.keys());
  }

  split(text: string): Section[] {
    if (this.#matcher.isEmpty) return text.length > 0 ? [{ start: 0, end: text.length, id: -1 }] : [];
    const sections: Section[] = [];
    let done = 0;
    for (let i = 0; i < text.length; ) {
      const pattern = this.#matcher.at(text, i);
      const token = pattern === undefined ? undefined : this.#tokens.get(pattern);
      if (pattern === undefined || token === undefined || (token.singleWord && touchesWord(text, i, pattern.length))) {
        i++;
        continue;
      }
      let start = i;
      let end = i + pattern.length;
      if (token.lstrip) while (start > done && SPACE.test(text[start - 1] as string)) start--;
      if (token.rstrip) while (end < text.length && SPACE.test(text[end] as string)) end++;
      if (start > done) sections.push({ start: done, end: start, id: -1 });
      sections.push({ start, end, id: token.id });
      done = end;
      i = end;
    }
    if (done < text.length) sections.push({ start: done, end: text.length, id: -1 });
    return sections;
  }
}

function touchesWord(text: string, start: number, length: number): boolean {
  const before = text.slice(Math.max(0, start - 2), start);
  const after = String.fromCodePoint(text.codePointAt(start + length) ?? 0x20);
  return WORD.test([...before].at(-1) ?? ' ') || WORD.test(after);
}
