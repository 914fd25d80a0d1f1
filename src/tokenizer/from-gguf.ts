import { TokenizerError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import type { GgufMetadata, TextList } from '../checkpoint/gguf-metadata.js';
import { ggufTokenizerKind } from '../checkpoint/gguf-tokenizer-file.js';
import { BYTE_LEVEL_SPLITS } from './byte-level-splits.js';
import { byteOfToken } from './byte-characters.js';
import { tokenizerOfPieces } from './from-sentencepiece.js';
import { tokenizerFromFields } from './from-tokenizer-json.js';
import { brief, JsonField } from './json-field.js';
import { PIECE_TYPE } from './sentencepiece-model.js';
import type { TokenizerSettings } from './settings.js';
import type { SubwordTokenizer } from './subword-tokenizer.js';
import { ID_LIMIT, type Entries } from './vocabulary.js';

/** Entries read between two breaths. */
const PIECE = 2048;

/**
 * The tokenizer in the metadata of a GGUF file, of kind "llama" (SentencePiece's pieces with scores and types) or
 * "gpt2" (byte-level BPE with merges, words cut as `tokenizer.ggml.pre` names it). What the file does not say is as in
 * llama.cpp's `llama-vocab.cpp`.
 * @param isDeferred leaves pieces to be read, in one go, when a text is first encoded or an entry looked for: of 32,000
 * that takes some 50 ms. An empty one, one that is there twice or is no UTF-8 is an error only then.
 * @throws TokenizerError for other kinds, and what is missing or cannot be.
 */
export async function tokenizerFromGguf(
  metadata: GgufMetadata,
  breathe: Breathe,
  isDeferred: boolean = false,
): Promise<SubwordTokenizer> {
  const kind = ggufTokenizerKind(metadata);
  const read = new GgufVocabulary(metadata, breathe);
  if (kind === 'llama') return fromPieces(read, isDeferred);
  if (kind === 'gpt2') return fromMerges(read);
  return read.fail('model', kind, '"llama" or "gpt2"');
}

/** Checked reading of what stands under `tokenizer.ggml.`. */
class GgufVocabulary {
  readonly breathe: Breathe;
  readonly #metadata: GgufMetadata;

  constructor(metadata: GgufMetadata, breathe: Breathe) {
    this.#metadata = metadata;
    this.breathe = breathe;
  }

  get where(): string {
    return this.#metadata.where;
  }

  text(key: string): string | null {
    return this.#metadata.text(`tokenizer.ggml.${key}`);
  }

  flag(key: string): boolean | null {
    const value = this.#metadata.get(`tokenizer.ggml.${key}`) ?? null;
    return value === null || typeof value === 'boolean' ? value : this.fail(key, value, 'true or false');
  }

  /** A token's id, or null where there is none. */
  id(key: string, size: number): number | null {
    const value = this.#metadata.get(`tokenizer.ggml.${key}_token_id`) ?? null;
    if (value === null || value === -1) return null;
    const isId = typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < size;
    return isId ? value : this.fail(`${key}_token_id`, value, `an id below ${size}`);
  }

  /** The entries, none of which has been read. */
  entries(): GgufEntries {
    const tokens = this.#metadata.textList('tokenizer.ggml.tokens');
    if (!tokens || tokens.length === 0) return this.fail('tokens', tokens ? [] : undefined, 'a vocabulary');
    if (tokens.length > ID_LIMIT) this.fail('tokens', tokens.length, `at most ${ID_LIMIT}`);
    return new GgufEntries(tokens, this);
  }

  /** A number for each entry; `absent` where the file has none at all. */
  async perToken(key: string, size: number, absent: number): Promise<Float64Array> {
    const numbers = await this.#metadata.numbers(`tokenizer.ggml.${key}`, this.breathe);
    if (!numbers) return new Float64Array(size).fill(absent);
    return numbers.length === size ? numbers : this.fail(key, `${numbers.length} numbers`, `${size}, one a token`);
  }

  async types(size: number): Promise<Uint8Array> {
    const types = await this.perToken('token_type', size, PIECE_TYPE.normal);
    for (let id = 0; id < size; id++) {
      if (id % PIECE === 0) await this.breathe();
      const isType = Number.isInteger(types[id]) && types[id] >= PIECE_TYPE.normal && types[id] <= PIECE_TYPE.byte;
      if (!isType) this.fail(`token_type[${id}]`, types[id], '1 to 6');
    }
    return Uint8Array.from(types);
  }

  async merges(): Promise<string[]> {
    const merges = await this.#metadata.texts('tokenizer.ggml.merges', this.breathe);
    return merges ?? this.fail('merges', undefined, 'an array of texts');
  }

  fail(key: string, found: unknown, expected: string): never {
    const thing = `tokenizer.ggml.${key}`;
    throw new TokenizerError({ thing, found: brief(found), expected, where: this.where });
  }
}

/** The entries of a GGUF file, each of which is there once: read as far as `readAll` has come, and all for their ids. */
class GgufEntries implements Entries {
  readonly tokens: TextList;
  readonly #of: GgufVocabulary;
  readonly #ids = new Map<string, number>();
  #done = 0;

  constructor(tokens: TextList, of: GgufVocabulary) {
    this.tokens = tokens;
    this.#of = of;
  }

  get ids(): ReadonlyMap<string, number> {
    this.#read(this.tokens.length);
    return this.#ids;
  }

  async readAll(): Promise<void> {
    for (let end = PIECE; this.#done < this.tokens.length; end += PIECE) {
      await this.#of.breathe();
      this.#read(Math.min(end, this.tokens.length));
    }
  }

  #read(end: number): void {
    for (; this.#done < end; this.#done++) {
      const id = this.#done;
      const token = this.tokens.at(id) ?? '';
      if (token === '') this.#of.fail(`tokens[${id}]`, token, 'some text');
      this.#ids.set(token, id);
      if (this.#ids.size > id) continue;
      const other = [...this.#ids.keys()].indexOf(token);
      this.#of.fail(`tokens[${id}]`, token, `a text other than that of entry ${other}`);
    }
  }
}

const NO_SETTINGS: TokenizerSettings = {
  tokenizerClass: null,
  bosToken: null,
  eosToken: null,
  otherSpecialTokens: [],
  addBos: null,
  addEos: null,
  legacy: null,
  addPrefixSpace: null,
  addedTokens: [],
  configBosId: null,
  configEosId: null,
};

async function fromPieces(read: GgufVocabulary, isDeferred: boolean): Promise<SubwordTokenizer> {
  const entries = read.entries();
  if (!isDeferred) await entries.readAll();
  const size = entries.tokens.length;
  const types = await read.types(size);
  const scores = await read.perToken('scores', size, 0);
  const badScore = scores.findIndex((score) => !Number.isFinite(score));
  if (badScore >= 0) read.fail(`scores[${badScore}]`, scores[badScore], 'a finite number');
  const bytes = new Set<number>();
  for (let id = types.indexOf(PIECE_TYPE.byte); id >= 0; id = types.indexOf(PIECE_TYPE.byte, id + 1)) {
    const piece = entries.tokens.at(id) ?? '';
    const byte = byteOfToken(piece);
    if (byte < 0) read.fail(`tokens[${id}]`, piece, 'a name from <0x00> to <0xFF>, as its type is');
    bytes.add(byte);
  }
  const unknown = read.id('unknown', size) ?? types.indexOf(PIECE_TYPE.unknown);
  if (unknown < 0 && bytes.size < 256) read.fail('unknown_token_id', undefined, 'one, or a piece for each byte');
  const model = {
    entries,
    scores,
    types,
    byteFallback: bytes.size === 256,
    unkId: unknown,
    bosId: read.id('bos', size) ?? controlAt(1, types),
    eosId: read.id('eos', size) ?? controlAt(2, types),
    padId: read.id('padding', size) ?? -1,
    addDummyPrefix: read.flag('add_space_prefix') ?? true,
    removeExtraWhitespaces: read.flag('remove_extra_whitespaces') ?? false,
    escapeWhitespaces: true,
  };
  const settings = { ...NO_SETTINGS, addBos: read.flag('add_bos_token'), addEos: read.flag('add_eos_token') };
  return tokenizerOfPieces(model, settings);
}

/** BOS and EOS of LLaMA, where a file has control pieces but does not say which. */
const controlAt = (id: number, types: Uint8Array): number => (types[id] === PIECE_TYPE.control ? id : -1);

/** By way of the `tokenizer.json` that says the same. */
async function fromMerges(read: GgufVocabulary): Promise<SubwordTokenizer> {
  const pre = read.text('pre');
  if (pre === null || !Object.hasOwn(BYTE_LEVEL_SPLITS, pre)) {
    return read.fail('pre', pre ?? undefined, `one of ${Object.keys(BYTE_LEVEL_SPLITS).join(', ')}`);
  }
  const { steps, ignoresMerges, addsBos } = BYTE_LEVEL_SPLITS[pre];
  const entries = read.entries();
  await entries.readAll();
  const tokens = [...entries.ids.keys()];
  const types = await read.types(tokens.length);
  const vocabulary: Record<string, number> = Object.create(null);
  const addedTokens: object[] = [];
  for (const [id, content] of tokens.entries()) {
    if (id % PIECE === 0) await read.breathe();
    vocabulary[content] = id;
    const special = types[id] === PIECE_TYPE.control;
    if (special || types[id] === PIECE_TYPE.userDefined) addedTokens.push({ id, content, special, normalized: false });
  }
  const bos = read.id('bos', tokens.length);
  const eos = read.id('eos', tokens.length);
  const around = (id: number | null, isWanted: boolean): object[] =>
    id !== null && isWanted ? [{ SpecialToken: { id: tokens[id], type_id: 0 } }] : [];
  const first = around(bos, read.flag('add_bos_token') ?? addsBos);
  const last = around(eos, read.flag('add_eos_token') ?? false);
  const ends = [bos, eos].filter((id) => id !== null).map((id) => [tokens[id], { ids: [id] }] as const);
  const json = {
    added_tokens: addedTokens,
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: steps },
    post_processor: {
      type: 'TemplateProcessing',
      single: [...first, { Sequence: { id: 'A', type_id: 0 } }, ...last],
      special_tokens: Object.fromEntries(ends),
    },
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', ignore_merges: ignoresMerges, vocab: vocabulary, merges: await read.merges() },
  };
  const settings = { ...NO_SETTINGS, configBosId: bos, configEosId: eos };
  return tokenizerFromFields(new JsonField(json, 'tokenizer.ggml', read.where), settings, read.breathe);
}
