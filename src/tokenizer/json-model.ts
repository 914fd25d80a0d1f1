import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { TokenizerError } from '../base/errors.js';
import { brief, type JsonField } from './json-field.js';
import { ID_LIMIT } from './vocabulary.js';

/** The `model` of a `tokenizer.json`, checked. */
export interface BpeModel {
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly unkToken: string | null;
  readonly fuseUnknown: boolean;
  /** What the engine is given; `pre_tokenizer` is the file's. */
  readonly engineModel: Readonly<Record<string, unknown>>;
}

/**
 * Checks the model of a `tokenizer.json`: BPE, ids in range and each given once, merges made of entries.
 * @throws TokenizerError
 */
export function parseBpeModel(model: JsonField): BpeModel {
  const type = model.get('type').optionalString() ?? (model.get('merges').absent ? 'none' : 'BPE');
  if (type !== 'BPE') model.get('type').fail('"BPE": other kinds of model are not supported');
  for (const key of ['continuing_subword_prefix', 'end_of_word_suffix']) {
    if (model.get(key).optionalString()) model.get(key).fail('none: BPE with affixes is not supported');
  }
  const vocabulary = parseVocabulary(model.get('vocab'));
  const unkToken = model.get('unk_token').optionalString();
  if (unkToken !== null && !vocabulary.has(unkToken)) model.get('unk_token').fail('an entry of the vocabulary');
  return {
    vocabulary,
    unkToken,
    fuseUnknown: model.get('fuse_unk').optionalBoolean() ?? false,
    engineModel: {
      type: 'BPE',
      vocab: model.get('vocab').value,
      merges: parseMerges(model.get('merges'), vocabulary),
      unk_token: unkToken,
      byte_fallback: model.get('byte_fallback').optionalBoolean() ?? false,
      ignore_merges: model.get('ignore_merges').optionalBoolean() ?? false,
    },
  };
}

function parseVocabulary(field: JsonField): Map<string, number> {
  const vocabulary = new Map<string, number>();
  const tokenOf = new Map<number, string>();
  for (const [token, id] of Object.entries(field.record())) {
    const index = typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < ID_LIMIT;
    const checked = index ? id : field.get(token).index(ID_LIMIT);
    const other = tokenOf.get(checked);
    if (other !== undefined) field.get(token).fail(`an id other than that of ${brief(other)}`);
    vocabulary.set(token, checked);
    tokenOf.set(checked, token);
  }
  if (vocabulary.size === 0) field.fail('a vocabulary that is not empty');
  return vocabulary;
}

/** Merges as pairs, whether the file writes them as "a b" or as ["a", "b"]. */
function parseMerges(field: JsonField, vocabulary: ReadonlyMap<string, number>): [string, string][] {
  const list: unknown = field.value;
  if (!Array.isArray(list)) return field.fail('an array of merges');
  return list.map((merge: unknown, i): [string, string] => {
    const parts: unknown[] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : [];
    const [left, right] = parts;
    const known = (token: unknown): token is string => typeof token === 'string' && vocabulary.has(token);
    if (parts.length !== 2 || !known(left) || !known(right) || !known(left + right)) {
      throw new TokenizerError({
        thing: `${field.path}[${i}]`,
        found: Array.isArray(merge) ? brief(JSON.stringify(merge)) : brief(merge),
        expected: 'two entries of the vocabulary whose joined text is an entry',
        where: field.file,
      });
    }
    return [left, right];
  });
}

/** The parts of a `@huggingface/tokenizers` tokenizer that are used; its own declarations are lost under NodeNext. */
export interface Engine {
  readonly normalizer: { normalize(text: string): string } | null;
  readonly pre_tokenizer: { pre_tokenize(text: string): string[] } | null;
  readonly model: { encode(words: string[]): string[] };
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
