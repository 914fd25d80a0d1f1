import { BYTE_CHARACTERS, byteOfToken, utf8Length } from './byte-characters.js';
import type { Engine } from './json-model.js';
import { cachedByWord, type EncodedWord, type SubwordModel, type TokenSink } from './subword-model.js';

export interface EngineModelParts {
  /** Its model and pre-tokenizer are used; the engine itself knows no offsets. */
  readonly engine: Engine;
  /** Whether words are written in byte characters when they reach the model. */
  readonly byteLevel: boolean;
  /** Cuts normalised text into words. */
  readonly words: (text: string) => string[];
  readonly ids: ReadonlyMap<string, number>;
  /** −1 where the file has none. */
  readonly unkId: number;
  readonly fuseUnknown: boolean;
}

/** How far ahead a word is looked for, where a pre-tokenizer drops text between words. */
const LOOK_AHEAD = 4096;

/** The BPE of a `tokenizer.json`, run by `@huggingface/tokenizers` word by word, with offsets. */
export class EngineModel implements SubwordModel {
  readonly #parts: EngineModelParts;
  readonly #encodeWord = cachedByWord((word) => this.#encode(word));

  constructor(parts: EngineModelParts) {
    this.#parts = parts;
  }

  tokenize(text: string, sink: TokenSink): void {
    const { written, starts, ends } = this.#parts.byteLevel ? inByteCharacters(text) : inCodeUnits(text);
    let done = 0;
    for (const word of this.#parts.words(text)) {
      const { at, added } = locate(written, word, done);
      const encoded = this.#encodeWord(word);
      for (let i = 0; i < encoded.ids.length; i++) {
        const start = at + Math.max(0, (encoded.starts[i] as number) - added);
        const end = at + Math.max(0, (encoded.ends[i] as number) - added);
        const from = start < written.length ? (starts[start] as number) : text.length;
        sink.push(encoded.ids[i] as number, from, end > start ? (ends[end - 1] as number) : from);
      }
      done = Math.min(written.length, at + word.length - added);
    }
  }

  #encode(word: string): EncodedWord {
    const { engine, ids, unkId, fuseUnknown } = this.#parts;
    const tokens = engine.model.encode([word]);
    const encoded = { ids: [] as number[], starts: [] as number[], ends: [] as number[] };
    const place = this.#parts.byteLevel ? placeByteLevel(word, tokens) : placeFallingBack(word, tokens);
    tokens.forEach((token, i) => {
      const id = ids.get(token) ?? unkId;
      if (id < 0) return;
      const [start, end] = place[i] as [number, number];
      const last = encoded.ids.length - 1;
      if (fuseUnknown && id === unkId && encoded.ids[last] === unkId) {
        encoded.ends[last] = end;
        return;
      }
      encoded.ids.push(id);
      encoded.starts.push(start);
      encoded.ends.push(end);
    });
    return encoded;
  }
}

/** A text as the words write it, and per character of that the text's code units. */
interface Written {
  readonly written: string;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

function inCodeUnits(text: string): Written {
  return {
    written: text,
    starts: Int32Array.from({ length: text.length }, (_, i) => i),
    ends: Int32Array.from({ length: text.length }, (_, i) => i + 1),
  };
}

function inByteCharacters(text: string): Written {
  const bytes = new TextEncoder().encode(text);
  const starts = new Int32Array(bytes.length);
  const ends = new Int32Array(bytes.length);
  let at = 0;
  for (let i = 0; i < text.length; ) {
    const codePoint = text.codePointAt(i) as number;
    const units = codePoint > 0xffff ? 2 : 1;
    const count = utf8Length(codePoint);
    starts.fill(i, at, at + count);
    ends.fill(i + units, at, at + count);
    at += count;
    i += units;
  }
  return { written: Array.from(bytes, (byte) => BYTE_CHARACTERS[byte]).join(''), starts, ends };
}

/** Where a word lies at or after `from`, and how many of its first characters the pre-tokenizer added (a space). */
function locate(written: string, word: string, from: number): { at: number; added: number } {
  if (written.startsWith(word, from)) return { at: from, added: 0 };
  if (word.length > 1 && written.startsWith(word.slice(1), from)) return { at: from, added: 1 };
  const ahead = written.slice(from, from + LOOK_AHEAD + word.length).indexOf(word);
  return ahead < 0 ? { at: from, added: word.length } : { at: from + ahead, added: 0 };
}

/** Byte-level tokens have a character per byte; where some were dropped, all share the word's stretch. */
function placeByteLevel(word: string, tokens: readonly string[]): [number, number][] {
  const exact = tokens.join('') === word;
  let at = 0;
  return tokens.map((token) => (exact ? [at, (at += token.length)] : [0, word.length]));
}

/** The byte tokens of one character share its stretch, and so does an unknown token. */
function placeFallingBack(word: string, tokens: readonly string[]): [number, number][] {
  let at = 0;
  let bytesSeen = 0;
  return tokens.map((token) => {
    if (bytesSeen === 0 && word.startsWith(token, at)) return [at, (at += token.length)];
    const codePoint = word.codePointAt(at);
    if (codePoint === undefined) return [at, at];
    const start = at;
    const end = at + (codePoint > 0xffff ? 2 : 1);
    bytesSeen++;
    if (byteOfToken(token) < 0 || bytesSeen === utf8Length(codePoint)) {
      at = end;
      bytesSeen = 0;
    }
    return [start, end];
  });
}
