import { TokenizerError } from '../base/errors.js';
import type { AddedToken } from './added-tokens.js';
import { EngineModel } from './engine-model.js';
import type { JsonField } from './json-field.js';
import { parseDecoder } from './json-decoder.js';
import { buildEngine, parseBpeModel } from './json-model.js';
import { parseNormalizer } from './json-normalizer.js';
import { parsePreTokenizer } from './json-pre-tokenizer.js';
import { parseTemplate, type Template } from './json-template.js';
import { parseAddedToken, parseJson, type TokenizerSettings } from './settings.js';
import { collectSpecialIds, resolveId } from './special-ids.js';
import { SubwordTokenizer } from './subword-tokenizer.js';
import { ID_LIMIT, Vocabulary } from './vocabulary.js';

/** The tokenizer of a `tokenizer.json` (Hugging Face tokenizers), of its BPE kind: byte-level or with byte fallback. */
export function tokenizerFromJson(bytes: Uint8Array, file: string, settings: TokenizerSettings): SubwordTokenizer {
  const json = parseJson(bytes, file);
  try {
    return build(json, settings);
  } catch (cause) {
    if (cause instanceof TokenizerError) throw cause;
    const found = cause instanceof Error ? cause.message.slice(0, 200) : String(cause);
    throw new TokenizerError({ thing: 'tokenizer', found, expected: 'a tokenizer.json', where: file, cause });
  }
}

function build(json: JsonField, settings: TokenizerSettings): SubwordTokenizer {
  const model = parseBpeModel(json.get('model'));
  const addedTokens = parseAddedTokens(json, model.vocabulary, settings);
  const vocabulary = new Vocabulary([
    ...model.vocabulary,
    ...addedTokens.map(({ content, id }) => [content, id] as const),
  ]);
  const addedIds = new Set(addedTokens.map(({ id }) => id));
  const preTokenizer = parsePreTokenizer(json.get('pre_tokenizer'), model.vocabulary.keys());
  const engine = buildEngine(
    { model: model.engineModel, preTokenizer: preTokenizer.words ? null : json.get('pre_tokenizer').value },
    json.file,
  );
  const normalizer = parseNormalizer(json.get('normalizer'));
  const bosId = resolveId(vocabulary, settings.bosToken, null, settings.configBosId);
  const eosId = resolveId(vocabulary, settings.eosToken, null, settings.configEosId);
  const unkId = model.unkToken === null ? -1 : vocabulary.require(model.unkToken, 'unk_token', json.file);
  return new SubwordTokenizer({
    vocabulary,
    addedTokens,
    rewrite: (input, isFirst) => preTokenizer.rewrite(normalizer(input, isFirst), isFirst),
    model: new EngineModel({
      engine,
      byteLevel: preTokenizer.byteLevel,
      words: preTokenizer.words ?? ((text) => engine.pre_tokenizer?.pre_tokenize(text) ?? [text]),
      ids: model.vocabulary,
      unkId,
      fuseUnknown: model.fuseUnknown,
    }),
    pieces: parseDecoder(json.get('decoder'), vocabulary, addedIds),
    template: templateOf(json, vocabulary, settings, bosId, eosId),
    bosId,
    eosId,
    specialIds: collectSpecialIds(vocabulary, addedTokens, settings, [bosId, eosId]),
  });
}

/** The file's added tokens, and those of the settings that it does not have. */
function parseAddedTokens(
  json: JsonField,
  vocabulary: ReadonlyMap<string, number>,
  settings: TokenizerSettings,
): AddedToken[] {
  const field = json.get('added_tokens');
  const tokens = field.absent ? [] : field.items().map((item) => parseAddedToken(item, item.get('id').index(ID_LIMIT)));
  const known = new Set(tokens.map(({ content }) => content));
  return [...tokens, ...settings.addedTokens.filter(({ content }) => !known.has(content) && !vocabulary.has(content))];
}

/** transformers' `LlamaTokenizerFast` makes its template anew from `add_bos_token` and `add_eos_token`. */
function templateOf(
  json: JsonField,
  vocabulary: Vocabulary,
  settings: TokenizerSettings,
  bosId: number | null,
  eosId: number | null,
): Template {
  const template = parseTemplate(json.get('post_processor'), vocabulary);
  if (!settings.tokenizerClass?.startsWith('Llama')) return template;
  return {
    before: (settings.addBos ?? true) && bosId !== null ? [bosId] : [],
    after: (settings.addEos ?? false) && eosId !== null ? [eosId] : [],
  };
}
