/** Text to ids and back, whichever file it was read from. */
export interface Tokenizer {
  readonly vocabSize: number;
  readonly bosId: number | null;
  readonly eosId: number | null;
  /** Ids that are never part of ordinary text: BOS, EOS, pad, added control tokens. */
  readonly specialIds: ReadonlySet<number>;
  /**
   * Ids of a text. `addSpecialTokens` (default true) adds BOS and EOS as the model's files say.
   * Special tokens written out in the text ("</s>") become their ids only with `parseSpecial` (default true, as in
   * transformers).
   */
  encode(text: string, options?: EncodeOptions): Int32Array;
  /** The same with, for each id, the stretch [start, end) of the text's UTF-16 code units that it stands for. */
  encodeWithOffsets(text: string, options?: EncodeOptions): EncodedText;
  /** Text of ids. Special tokens are left out unless `skipSpecialTokens` is false. Invalid UTF-8 gives U+FFFD. */
  decode(ids: ArrayLike<number>, options?: { skipSpecialTokens?: boolean }): string;
  /** A decoder that takes ids one by one and never returns half a character; the pieces join to `decode`'s text. */
  stream(options?: { skipSpecialTokens?: boolean }): TokenStream;
  /** The vocabulary entry of an id, as stored ("▁the", "<0x0A>"). */
  token(id: number): string;
  /** What to print on a plot's axis for an id: a readable form, spaces as "·", newline as "⏎", other bytes as "⟨E2⟩". */
  label(id: number): string;
  /** The id of a vocabulary entry, if there is one. */
  id(token: string): number | undefined;
}

/** How text is turned into ids. */
export interface EncodeOptions {
  addSpecialTokens?: boolean;
  parseSpecial?: boolean;
}

/** Ids with the places in the text that they stand for. */
export interface EncodedText {
  ids: Int32Array;
  /** [start, end) per id; empty ([n, n]) for ids that were added, such as BOS. */
  offsets: [number, number][];
}

/** Text of ids that come one at a time, in whole characters. */
export interface TokenStream {
  /** Text that has become certain with this id; may be empty. */
  push(id: number): string;
  /** What is left at the end, half characters as U+FFFD. */
  end(): string;
}
