import assert from 'node:assert/strict';
import type { DecodeItem, DecodeOptions, Sequence, TokenDecoder } from '../../src/generation/decoder.js';
import { openTokenizer, type Tokenizer } from '../../src/tokenizer/index.js';
import { sentencePieceFile, withFolder } from '../tokenizer/support.js';

class ToySequence implements Sequence {
  disposed = false;

  constructor(
    readonly owner: ToyDecoder,
    public ids: number[],
  ) {
    owner.live.add(this);
  }

  get length(): number {
    return this.ids.length;
  }

  truncate(length: number): void {
    this.check();
    this.ids.length = length;
  }

  fork(): Sequence {
    this.check();
    return new ToySequence(this.owner, [...this.ids]);
  }

  discard(from: number, count: number): void {
    this.check();
    assert.ok(from >= 0 && count > 0 && from + count <= this.ids.length);
    this.owner.discards.push([from, count]);
    this.ids.splice(from, count);
  }

  dispose(): void {
    this.check();
    this.disposed = true;
    this.owner.live.delete(this);
  }

  check(): void {
    assert.ok(!this.disposed, 'a disposed sequence is used');
  }
}

export interface ToyOptions {
  vocabSize?: number;
  contextLength?: number;
  eosIds?: number[];
  /** Whether `decode` returns a promise. */
  asynchronous?: boolean;
  /** Logits by all ids of a sequence; by default from a hash of them. */
  logits?: (ids: readonly number[], vocabSize: number) => Float32Array;
  /** Called before every decode, with its number. */
  onDecode?: (call: number, options: DecodeOptions) => void | Promise<void>;
}

/** A language model whose logits depend on every id that came before, with sequences that can be counted. */
export class ToyDecoder implements TokenDecoder {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly eosIds?: readonly number[];
  readonly live = new Set<ToySequence>();
  /** Items of each call, with how many ids each appended. */
  readonly calls: number[][] = [];
  readonly discards: [number, number][] = [];
  readonly #options: ToyOptions;

  constructor(options: ToyOptions = {}) {
    this.vocabSize = options.vocabSize ?? VOCABULARY_SIZE;
    this.contextLength = options.contextLength ?? 200;
    if (options.eosIds) this.eosIds = options.eosIds;
    this.#options = options;
  }

  createSequence(): Sequence {
    return new ToySequence(this, []);
  }

  decode(items: readonly DecodeItem[], options: DecodeOptions = {}): Float32Array[] | Promise<Float32Array[]> {
    const call = this.calls.push(items.map(({ ids }) => ids.length)) - 1;
    if (this.#options.onDecode || this.#options.asynchronous) return this.#later(call, items, options);
    return this.#now(items, options);
  }

  async #later(call: number, items: readonly DecodeItem[], options: DecodeOptions): Promise<Float32Array[]> {
    await new Promise((resolve) => setImmediate(resolve));
    await this.#options.onDecode?.(call, options);
    options.signal?.throwIfAborted();
    return this.#now(items, options);
  }

  #now(items: readonly DecodeItem[], options: DecodeOptions): Float32Array[] {
    const total = items.reduce((sum, { ids }) => sum + ids.length, 0);
    const logits = items.map(({ sequence, ids }) => {
      assert.ok(sequence instanceof ToySequence && ids.length > 0);
      sequence.check();
      sequence.ids.push(...ids);
      assert.ok(sequence.length <= this.contextLength, 'the context is exceeded');
      return (this.#options.logits ?? hashedLogits)(sequence.ids, this.vocabSize);
    });
    options.onProgress?.(total, total);
    return logits;
  }
}

export function hashedLogits(ids: readonly number[], vocabSize: number): Float32Array {
  let hash = ids.length;
  for (const id of ids) hash = Math.imul(hash ^ id, 0x9e3779b1) ^ (hash >>> 13);
  return Float32Array.from({ length: vocabSize }, (_, id) => {
    let mixed = Math.imul(hash ^ (id * 0x85ebca6b), 0xc2b2ae35);
    mixed ^= mixed >>> 15;
    return ((Math.imul(mixed, 0x27d4eb2f) >>> 0) / 2 ** 32) * 8 - 4;
  });
}

/** Logits that make `script[i]` the likeliest i-th generated id, after a prompt of the given length. */
export const scripted =
  (script: readonly number[], promptLength: number) =>
  (ids: readonly number[], vocabSize: number): Float32Array => {
    const logits = new Float32Array(vocabSize);
    logits[script[ids.length - promptLength] ?? 0] = 9;
    return logits;
  };

const CONTROL = [
  { text: '<unk>', type: 2 },
  { text: '<s>', type: 3 },
  { text: '</s>', type: 3 },
];
const BYTES = Array.from({ length: 256 }, (_, byte) => ({
  text: `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
  type: 6,
}));
const WORDS = ['▁', 'a', 'b', 'c', '▁a', 'END', 'EN', 'D', '▁the', '.', '\n', 'x'];
export const VOCABULARY_SIZE = CONTROL.length + BYTES.length + WORDS.length;

/** A tokenizer of bytes and a few words; BOS is 1, EOS is 2, byte b is 3 + b. */
export const toyTokenizer = (settings: object = {}): Promise<Tokenizer> => {
  const pieces = [...CONTROL, ...BYTES, ...WORDS.map((text, i) => ({ text, score: -i }))];
  const file = sentencePieceFile({ pieces, trainer: { 3: 2, 35: 1 } });
  return withFolder({ 'tokenizer.model': file, 'tokenizer_config.json': settings }, (folder) => openTokenizer(folder));
};
