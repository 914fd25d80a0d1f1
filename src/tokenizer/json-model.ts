import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { TokenizerError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import { brief, type JsonField } from './json-field.js';
import { ID_LIMIT } from './vocabulary.js';

/** Entries or merges read between two breaths. */
const PIECE = 2048;

/** The `model` of a `tokenizer.json`, checked. */
export interface BpeModel {
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Pairs of entries, best first. */
  readonly merges: readonly (readonly [string, string])[];
  readonly unkToken: string | null;
  readonly fuseUnknown: boolean;
  readonly byteFallback: boolean;
  readonly ignoreMerges: boolean;
}

/**
 * Checks the model of a `tokenizer.json`: BPE, ids in range and each given once, merges made of entries.
 * @throws TokenizerError
 */
export async function parseBpeModel(model: JsonField, breathe: Breathe): Promise<BpeModel> {
  const type = model.get('type').optionalString() ?? (model.get('merges').absent ? 'none' : 'BPE');
  if (type !== 'BPE') model.get('type').fail('"BPE": other kinds of model are not supported');
  for (const key of ['continuing_subword_prefix', 'end_of_word_suffix']) {
    if (model.get(key).optionalString()) model.get(key).fail('none: BPE with affixes is not supported');
  }
  const vocabulary = await parseVocabulary(model.get('vocab'), breathe);
  const unkToken = model.get('unk_token').optionalString();
  if (unkToken !== null && !vocabulary.has(unkToken)) model.get('unk_token').fail('an entry of the vocabulary');
  return {
    vocabulary,
    merges: await parseMerges(model.get('merges'), vocabulary, breathe),
    unkToken,
    fuseUnknown: model.get('fuse_unk').optionalBoolean() ?? false,
    byteFallback: model.get('byte_fallback').optionalBoolean() ?? false,
    ignoreMerges: model.get('ignore_merges').optionalBoolean() ?? false,
  };
}

async function parseVocabulary(field: JsonField, breathe: Breathe): Promise<Map<string, number>> {
  const vocabulary = new Map<string, number>();
  const tokenOf = new Map<number, string>();
  const record = field.record();
  for (const token of Object.keys(record)) {
    const id = record[token];
    const isIndex = typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < ID_LIMIT;
    const checked = isIndex ? id : field.get(token).index(ID_LIMIT);
    const other = tokenOf.get(checked);
    if (other !== undefined) field.get(token).fail(`an id other than that of ${brief(other)}`);
    vocabulary.set(token, checked);
    tokenOf.set(checked, token);
    if (vocabulary.size % PIECE === 0) await breathe();
  }
  if (vocabulary.size === 0) field.fail('a vocabulary that is not empty');
  return vocabulary;
}

/** Merges as pairs, whether the file writes them as "a b" or as ["a", "b"]. */
async function parseMerges(
  field: JsonField,
  vocabulary: ReadonlyMap<string, number>,
  breathe: Breathe,
): Promise<[string, string][]> {
  const list: unknown = field.value;
  if (!Array.isArray(list)) return field.fail('an array of merges');
  const isEntry = (token: unknown): token is string => typeof token === 'string' && vocabulary.has(token);
  const merges: [string, string][] = [];
  for (const merge of list as readonly unknown[]) {
    const parts: unknown[] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : [];
    const [left, right] = parts;
    if (parts.length !== 2 || !isEntry(left) || !isEntry(right) || !isEntry(left + right)) {
      throw new TokenizerError({
        thing: `${field.path}[${merges.length}]`,
        found: Array.isArray(merge) ? brief(merge.slice(0, 3).map(brief).join(' ')) : brief(merge),
        expected: 'two entries of the vocabulary whose joined text is an entry',
        where: field.file,
      });
    }
    if (merges.push([left, right]) % PIECE === 0) await breathe();
  }
  return merges;
}

/** The parts of a `@huggingface/tokenizers` tokenizer that are used; its own declarations are lost under NodeNext. */
export interface Engine {
  readonly normalizer: { normalize(text: string): string } | null;
  readonly pre_tokenizer: { pre_tokenize(text: string): string[] } | null;
  readonly model: {
    encode(words: string[]): string[];
    tokens_to_ids: ReadonlyMap<string, number>;
    /** Ranks of merges, by the pair as JSON. */
    readonly bpe_ranks: Map<string, number>;
  };
}

/** An engine with a BPE model and the `pre_tokenizer` of a file. */
export async function buildBpeEngine(
  { vocabulary, merges, unkToken, byteFallback, ignoreMerges }: BpeModel,
  preTokenizer: unknown,
  where: string,
  breathe: Breathe,
): Promise<Engine> {
  const flags = { unk_token: unkToken, byte_fallback: byteFallback, ignore_merges: ignoreMerges };
  const engine = buildEngine({ model: { type: 'BPE', vocab: {}, merges: [], ...flags }, preTokenizer }, where);
  // The engine's constructor would read all of these at once, and hold the event loop for long.
  engine.model.tokens_to_ids = vocabulary;
  for (const [rank, pair] of merges.entries()) {
    engine.model.bpe_ranks.set(JSON.stringify(pair), rank);
    if (rank % PIECE === 0) await breathe();
  }
  return engine;
}

/** An engine of `@huggingface/tokenizers` with the given parts and nothing else. */
export function buildEngine(
  parts: { model?: Readonly<Record<string, unknown>>; normalizer?: unknown; preTokenizer?: unknown },
  where: string,
): Engine {
  try {
    return new HuggingFaceTokenizer(
      {
        model: parts.model ?? { type: 'BPE', vocab: {}, merges: [] },
        normalizer: parts.normalizer ?? null,
        pre_tokenizer: parts.preTokenizer ?? null,
        post_processor: null,
        decoder: null,
        added_tokens: [],
      },
      {},
    );
  } catch (cause) {
    const found = cause instanceof Error ? cause.message.slice(0, 200) : String(cause);
    throw new TokenizerError({ thing: 'tokenizer', found, expected: 'parts that the engine can build', where, cause });
  }
}
