import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { TokenizerError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import type { AddedToken } from './added-tokens.js';
import { isRecord, JsonField } from './json-field.js';
import { parseJsonText } from './json-text.js';
import { ID_LIMIT } from './vocabulary.js';

/** Tokenizer files larger than this are not read: the largest in use have some 40 MB. */
const LARGEST_FILE = 256 * 2 ** 20;
/** Bytes decoded between two breaths. */
const PIECE = 2 ** 20;

/** What the small files beside the vocabulary say; null or undefined where they say nothing. */
export interface TokenizerSettings {
  readonly tokenizerClass: string | null;
  readonly bosToken: string | null;
  readonly eosToken: string | null;
  readonly otherSpecialTokens: readonly string[];
  readonly addBos: boolean | null;
  readonly addEos: boolean | null;
  /** LLaMA's old handling of spaces after special tokens: each stretch of text gets a leading one. */
  readonly legacy: boolean | null;
  readonly addPrefixSpace: boolean | null;
  readonly addedTokens: readonly AddedToken[];
  /** `bos_token_id` and `eos_token_id` of config.json or generation_config.json. */
  readonly configBosId: number | null;
  readonly configEosId: number | null;
}

/** Reads a file whole. */
export async function readTokenizerFile(path: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(path);
    if (size > LARGEST_FILE) {
      throw new TokenizerError({
        thing: 'size of a tokenizer file',
        found: `${size} bytes`,
        expected: `at most ${LARGEST_FILE}`,
        where: path,
      });
    }
    return await readFile(path);
  } catch (cause) {
    if (cause instanceof TokenizerError) throw cause;
    const found = isRecord(cause) && typeof cause.code === 'string' ? cause.code : String(cause);
    const expected = 'a file that can be read';
    throw new TokenizerError({ thing: 'tokenizer file', found, expected, where: path, cause });
  }
}

/** Parses the bytes of a JSON file. */
export async function parseJson(bytes: Uint8Array, file: string, breathe: Breathe): Promise<JsonField> {
  try {
    return new JsonField(await parseJsonText(await decoded(bytes, breathe), breathe), '', file);
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof TypeError)) throw cause;
    const found = cause.message.slice(0, 120);
    throw new TokenizerError({ thing: 'content of the file', found, expected: 'JSON in UTF-8', where: file, cause });
  }
}

async function decoded(bytes: Uint8Array, breathe: Breathe): Promise<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += PIECE) {
    await breathe();
    parts.push(decoder.decode(bytes.subarray(at, at + PIECE), { stream: true }));
  }
  return parts.join('') + decoder.decode();
}

/** Reads `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json` and the model's ids, where present. */
export async function readSettings(directory: string, breathe: Breathe): Promise<TokenizerSettings> {
  const read = async (name: string): Promise<JsonField> => {
    const path = join(directory, name);
    const isThere = await stat(path).then((entry) => entry.isFile(), () => false);
    const field = isThere ? await parseJson(await readTokenizerFile(path), path, breathe) : new JsonField({}, '', path);
    field.record();
    return field;
  };
  const config = await read('tokenizer_config.json');
  const specialMap = await read('special_tokens_map.json');
  const added = await read('added_tokens.json');
  const model = await read('config.json');
  const generation = await read('generation_config.json');

  const named = (key: string): string | null => tokenText(config.get(key)) ?? tokenText(specialMap.get(key));
  const listed = [config.get('additional_special_tokens'), specialMap.get('additional_special_tokens')]
    .filter((field) => Array.isArray(field.value))
    .flatMap((field) => field.items().map(tokenText));
  const others = [named('unk_token'), named('pad_token'), ...listed].filter((token) => token !== null);
  return {
    tokenizerClass: config.get('tokenizer_class').optionalString(),
    bosToken: named('bos_token'),
    eosToken: named('eos_token'),
    otherSpecialTokens: others,
    addBos: config.get('add_bos_token').optionalBoolean(),
    addEos: config.get('add_eos_token').optionalBoolean(),
    legacy: config.get('legacy').optionalBoolean(),
    addPrefixSpace: config.get('add_prefix_space').optionalBoolean(),
    addedTokens: addedTokensOf(added, config.get('added_tokens_decoder')),
    configBosId: firstId(model.get('bos_token_id')) ?? firstId(generation.get('bos_token_id')),
    configEosId: firstId(model.get('eos_token_id')) ?? firstId(generation.get('eos_token_id')),
  };
}

/** An added token as `tokenizer.json` and `added_tokens_decoder` write it. */
export function parseAddedToken(field: JsonField, id: number): AddedToken {
  const content = field.get('content').string();
  if (content === '') field.get('content').fail('some text');
  const special = field.get('special').optionalBoolean() ?? false;
  return {
    id,
    content,
    special,
    normalized: field.get('normalized').optionalBoolean() ?? !special,
    lstrip: field.get('lstrip').optionalBoolean() ?? false,
    rstrip: field.get('rstrip').optionalBoolean() ?? false,
    singleWord: field.get('single_word').optionalBoolean() ?? false,
  };
}

/** Tokens of `added_tokens.json` (text → id), and of `added_tokens_decoder` (id → token), which knows more. */
function addedTokensOf(byText: JsonField, byId: JsonField): AddedToken[] {
  const tokens = new Map<string, AddedToken>();
  for (const content of Object.keys(byText.record())) {
    const id = byText.get(content).index(ID_LIMIT);
    if (content === '') byText.fail('tokens that are not empty');
    const plain = { lstrip: false, rstrip: false, singleWord: false };
    tokens.set(content, { id, content, special: false, normalized: false, ...plain });
  }
  if (!byId.absent) {
    for (const key of Object.keys(byId.record())) {
      const id = new JsonField(Number(key), `${byId.path} key`, byId.file).index(ID_LIMIT);
      const token = parseAddedToken(byId.get(key), id);
      tokens.set(token.content, token);
    }
  }
  return [...tokens.values()];
}

/** A token given as its text or as `{ content }`. */
function tokenText(field: JsonField): string | null {
  if (field.absent) return null;
  return typeof field.value === 'string' ? field.value : field.get('content').string();
}

function firstId(field: JsonField): number | null {
  const first = Array.isArray(field.value) ? field.items()[0] : field;
  return first === undefined || first.absent ? null : first.index(ID_LIMIT);
}
