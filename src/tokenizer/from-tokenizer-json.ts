import { TokenizerError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import type { AddedToken } from './added-tokens.js';
import { EngineModel } from './engine-model.js';
import type { JsonField } from './json-field.js';
import { parseDecoder } from './json-decoder.js';
import { buildBpeEngine, parseBpeModel } from './json-model.js';
import { parseNormalizer } from './json-normalizer.js';
import { parsePreTokenizer } from './json-pre-tokenizer.js';
import { parseTemplate, type Template } from './json-template.js';
import { parseAddedToken, parseJson, type TokenizerSettings } from './settings.js';
import { collectSpecialIds, resolveId } from './special-ids.js';
import { SubwordTokenizer } from './subword-tokenizer.js';
import { ID_LIMIT, Vocabulary } from './vocabulary.js';

/** The tokenizer of a `tokenizer.json` (Hugging Face tokenizers), of its BPE kind: byte-level or with byte fallback. */
export async function tokenizerFromJson(
  bytes: Uint8Array,
  file: string,
  settings: TokenizerSettings,
  breathe: Breathe,
): Promise<SubwordTokenizer> {
  return tokenizerFromFields(await parseJson(bytes, file, breathe), settings, breathe);
}

/** The same of its fields, parsed or made. */
export async function tokenizerFromFields(
  json: JsonField,
  settings: TokenizerSettings,
  breathe: Breathe,
): Promise<SubwordTokenizer> {
  const { file } = json;
  const model = await parseBpeModel(json.get('model'), breathe);
  const addedTokens = parseAddedTokens(json, model.vocabulary, settings);
  const vocabulary = (await Vocabulary.of(model.vocabulary, breathe)).with(addedTokens);
  const bosId = resolveId(vocabulary, settings.bosToken, null, settings.configBosId);
  const eosId = resolveId(vocabulary, settings.eosToken, null, settings.configEosId);
  const unkId = model.unkToken === null ? -1 : vocabulary.require(model.unkToken, 'unk_token', file);
  const steps = guarded(file, () => ({
    preTokenizer: parsePreTokenizer(json.get('pre_tokenizer'), model.vocabulary.keys()),
    normalizer: parseNormalizer(json.get('normalizer')),
    pieces: parseDecoder(json.get('decoder'), vocabulary, new Set(addedTokens.map(({ id }) => id))),
    template: templateOf(json, vocabulary, settings, bosId, eosId),
  }));
  const { preTokenizer, normalizer, pieces, template } = steps;
  const engine = await buildBpeEngine(
    model,
    preTokenizer.words ? null : json.get('pre_tokenizer').value,
    file,
    breathe,
  );
  const subwordModel = new EngineModel({
    engine,
    byteLevel: preTokenizer.byteLevel,
    words: preTokenizer.words ?? ((text) => engine.pre_tokenizer?.pre_tokenize(text) ?? [text]),
    ids: model.vocabulary,
    unkId,
    fuseUnknown: model.fuseUnknown,
  });
  return guarded(
    file,
    () =>
      new SubwordTokenizer({
        vocabulary,
        addedTokens,
        rewrite: (input, isFirst) => preTokenizer.rewrite(normalizer(input, isFirst), isFirst),
        model: subwordModel,
        pieces,
        template,
        bosId,
        eosId,
        specialIds: collectSpecialIds(vocabulary, addedTokens, settings, [bosId, eosId]),
      }),
  );
}

/** Turns what the engine throws, and the overflow of the stack where a file nests too deep, into a typed error. */
function guarded<T>(where: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof TokenizerError) throw cause;
    const found = cause instanceof Error ? cause.message.slice(0, 200) : String(cause);
    throw new TokenizerError({ thing: 'tokenizer', found, expected: 'a tokenizer.json', where, cause });
  }
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
