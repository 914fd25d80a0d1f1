import type { TokenStream } from './tokenizer.js';

/** Spaces that decoding takes away at the start. */
export interface LeadingSpaces {
  /** At most so many. */
  readonly count: number;
  /** Only those of the first token (as `Metaspace` does), or of the whole text (as `Strip` does). */
  readonly within: 'first-token' | 'text';
}

/** Turns ids into text by the UTF-8 bytes that each stands for. */
export interface PieceText {
  /** Bytes of an id; none for an id without an entry. */
  bytesOf(id: number): Uint8Array;
  readonly leadingSpaces: LeadingSpaces;
}

/** Remembers the bytes of the ids of a vocabulary. */
export function cachedById(read: (id: number) => Uint8Array, vocabSize: number): (id: number) => Uint8Array {
  const cache = new Map<number, Uint8Array>();
  return (id) => {
    const known = cache.get(id);
    if (known) return known;
    const bytes = read(id);
    if (id < vocabSize) cache.set(id, bytes);
    return bytes;
  };
}

/** Decodes ids one by one: bytes of a character that is not complete yet are held back. */
export class PieceStream implements TokenStream {
  readonly #pieces: PieceText;
  readonly #skipped: (id: number) => boolean;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #spacesLeft: number;

  constructor(pieces: PieceText, skipped: (id: number) => boolean) {
    this.#pieces = pieces;
    this.#skipped = skipped;
    this.#spacesLeft = pieces.leadingSpaces.count;
  }

  push(id: number): string {
    if (this.#skipped(id)) return '';
    const text = this.#strip(this.#decoder.decode(this.#pieces.bytesOf(id), { stream: true }));
    if (this.#pieces.leadingSpaces.within === 'first-token') this.#spacesLeft = 0;
    return text;
  }

  end(): string {
    return this.#strip(this.#decoder.decode());
  }

  #strip(text: string): string {
    if (this.#spacesLeft === 0 || text.length === 0) return text;
    let from = 0;
    while (from < text.length && this.#spacesLeft > 0 && text[from] === ' ') {
      from++;
      this.#spacesLeft--;
    }
    if (from < text.length) this.#spacesLeft = 0;
    return text.slice(from);
  }
}
