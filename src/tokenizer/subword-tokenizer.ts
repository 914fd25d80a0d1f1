import { OptionError } from '../base/errors.js';
import { AddedTokenSplitter, type AddedToken } from './added-tokens.js';
import { alignedSlice, sourceStretch, type AlignedText, type Rewrite } from './aligned-text.js';
import { byteOfToken } from './byte-characters.js';
import { labelOfByte, labelOfBytes } from './label.js';
import { PieceStream, type PieceText } from './piece-text.js';
import type { SubwordModel } from './subword-model.js';
import type { EncodedText, EncodeOptions, Tokenizer, TokenStream } from './tokenizer.js';
import type { Vocabulary } from './vocabulary.js';

/** What a tokenizer file comes down to, whichever kind it is. */
export interface TokenizerParts {
  readonly vocabulary: Vocabulary;
  readonly addedTokens: readonly AddedToken[];
  readonly rewrite: Rewrite;
  readonly model: SubwordModel;
  readonly pieces: PieceText;
  /** Ids put before and after a text. */
  readonly template: { readonly before: readonly number[]; readonly after: readonly number[] };
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly specialIds: ReadonlySet<number>;
}

/** Ids with their stretches of the source, in the making. */
class Output {
  readonly ids: number[] = [];
  readonly offsets: [number, number][] = [];

  push(id: number, start: number, end: number): void {
    this.ids.push(id);
    this.offsets.push([start, end]);
  }
}

interface Splitters {
  readonly raw: AddedTokenSplitter;
  readonly normalized: AddedTokenSplitter;
}

/** The tokenizer of both kinds of file: added tokens, normalisation, subword model, template; and back. */
export class SubwordTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly bosId: number | null;
  readonly eosId: number | null;
  readonly specialIds: ReadonlySet<number>;
  readonly #parts: TokenizerParts;
  /** Splitters of the raw and of the normalised text, with special tokens and without. */
  readonly #splitters: Readonly<Record<'all' | 'ordinary', Splitters>>;

  constructor(parts: TokenizerParts) {
    this.#parts = parts;
    this.vocabSize = parts.vocabulary.size;
    this.bosId = parts.bosId;
    this.eosId = parts.eosId;
    this.specialIds = parts.specialIds;
    const normalizedContent = ({ content }: AddedToken): string =>
      parts.rewrite(alignedSlice(content, 0, content.length), true).text;
    const splittersOf = (tokens: readonly AddedToken[]): Splitters => ({
      raw: new AddedTokenSplitter(tokens.filter(({ normalized }) => !normalized)),
      normalized: new AddedTokenSplitter(
        tokens.filter(({ normalized }) => normalized),
        normalizedContent,
      ),
    });
    this.#splitters = {
      all: splittersOf(parts.addedTokens),
      ordinary: splittersOf(parts.addedTokens.filter(({ special }) => !special)),
    };
  }

  encode(text: string, options: EncodeOptions = {}): Int32Array {
    return Int32Array.from(this.#run(text, options).ids);
  }

  encodeWithOffsets(text: string, options: EncodeOptions = {}): EncodedText {
    const { ids, offsets } = this.#run(text, options);
    return { ids: Int32Array.from(ids), offsets };
  }

  decode(ids: ArrayLike<number>, options: { skipSpecialTokens?: boolean } = {}): string {
    const stream = this.stream(options);
    const parts: string[] = [];
    for (let i = 0; i < ids.length; i++) parts.push(stream.push(ids[i] as number));
    parts.push(stream.end());
    return parts.join('');
  }

  stream({ skipSpecialTokens = true }: { skipSpecialTokens?: boolean } = {}): TokenStream {
    return new PieceStream(this.#parts.pieces, (id) => {
      this.#checkId(id);
      return skipSpecialTokens && this.specialIds.has(id);
    });
  }

  /** Empty for an id at which the vocabulary has no entry, as in models whose embedding is padded. */
  token(id: number): string {
    this.#checkId(id);
    return this.#parts.vocabulary.token(id) ?? '';
  }

  label(id: number): string {
    const token = this.token(id);
    if (token === '') return `⟨id ${id}⟩`;
    if (this.specialIds.has(id)) return token;
    const bytes = this.#parts.pieces.bytesOf(id);
    return bytes.length === 1 && byteOfToken(token) >= 0 ? labelOfByte(bytes[0] as number) : labelOfBytes(bytes);
  }

  id(token: string): number | undefined {
    return this.#parts.vocabulary.ids.get(token);
  }

  #checkId(id: number): void {
    if (!Number.isInteger(id) || id < 0) {
      throw new OptionError({ thing: 'token id', found: id, expected: 'a whole number from 0' });
    }
  }

  #run(text: string, { addSpecialTokens = true, parseSpecial = true }: EncodeOptions): Output {
    if (typeof text !== 'string') {
      throw new OptionError({ thing: 'text to encode', found: typeof text, expected: 'a string' });
    }
    const { template } = this.#parts;
    // a lone surrogate has no UTF-8; like U+FFFD, it is one code unit long
    const source = text.replace(/\p{Surrogate}/gu, '\ufffd');
    const output = new Output();
    if (addSpecialTokens) for (const id of template.before) output.push(id, 0, 0);
    const splitters = this.#splitters[parseSpecial ? 'all' : 'ordinary'];
    for (const { start, end, id } of splitters.raw.split(source)) {
      if (id >= 0) output.push(id, start, end);
      else this.#encodeSegment(alignedSlice(source, start, end), start === 0, splitters.normalized, output);
    }
    if (addSpecialTokens) for (const id of template.after) output.push(id, source.length, source.length);
    return output;
  }

  #encodeSegment(segment: AlignedText, isFirst: boolean, splitter: AddedTokenSplitter, output: Output): void {
    const normalized = this.#parts.rewrite(segment, isFirst);
    for (const section of splitter.split(normalized.text)) {
      const push = (id: number, start: number, end: number): void =>
        output.push(id, ...sourceStretch(normalized, section.start + start, section.start + end));
      if (section.id >= 0) push(section.id, 0, section.end - section.start);
      else this.#parts.model.tokenize(normalized.text.slice(section.start, section.end), { push });
    }
  }
}
