/** Where tokens go: ids, and for each the code units [start, end) of the normalised text. */
export interface TokenSink {
  push(id: number, start: number, end: number): void;
}

/** From normalised text to tokens. */
export interface SubwordModel {
  tokenize(text: string, sink: TokenSink): void;
}

/** A model whose tables, some 20 ms for a vocabulary of 32,000, are made when it is first given a text. */
export function madeAtFirstUse(make: () => SubwordModel): SubwordModel {
  let made: SubwordModel | null = null;
  return { tokenize: (text, sink) => (made ??= make()).tokenize(text, sink) };
}

/** The tokens of one word, with the word's code units [start, end) for each. */
export interface EncodedWord {
  readonly ids: readonly number[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** The sign that SentencePiece writes for a space. */
export const SPACE_SIGN = '▁';

const LONGEST_CACHED = 64;
const CACHE_CAPACITY = 50_000;

/** Remembers the tokens of short words: in prose, nearly every word has been seen before. */
export function cachedByWord(encode: (word: string) => EncodedWord): (word: string) => EncodedWord {
  const cache = new Map<string, EncodedWord>();
  return (word) => {
    const known = cache.get(word);
    if (known) return known;
    const encoded = encode(word);
    if (word.length <= LONGEST_CACHED) {
      if (cache.size >= CACHE_CAPACITY) cache.clear();
      cache.set(word, encoded);
    }
    return encoded;
  };
}

/**
 * How a text may be cut into words for a vocabulary that writes spaces as "▁", without a change of the result: if no
 * entry holds "▁" after another character, no merge crosses the border before a "▁".
 */
export function wordSplitter(vocabulary: Iterable<string>): (text: string) => string[] {
  let hasSpaceSign = false;
  for (const token of vocabulary) {
    if (token === SPACE_SIGN) hasSpaceSign = true;
    if (/[^▁]▁/.test(token)) return (text) => [text];
  }
  return hasSpaceSign ? (text) => text.match(/▁*[^▁]+|▁+$/g) ?? [] : (text) => [text];
}
