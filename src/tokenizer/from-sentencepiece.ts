import type { Breathe } from '../base/event-loop.js';
import type { AddedToken } from './added-tokens.js';
import { collapseSpaces, prepend, replaceLiteral, type Rewrite } from './aligned-text.js';
import { cachedById, type PieceText } from './piece-text.js';
import { SentencePieceBpe } from './sentencepiece-bpe.js';
import { PIECE_TYPE, parseSentencePieceModel, type SentencePieceModel } from './sentencepiece-model.js';
import type { TokenizerSettings } from './settings.js';
import { collectSpecialIds, resolveId } from './special-ids.js';
import { madeAtFirstUse, SPACE_SIGN } from './subword-model.js';
import { SubwordTokenizer } from './subword-tokenizer.js';
import { Vocabulary } from './vocabulary.js';

/**
 * The tokenizer of a SentencePiece file. As in transformers' `LlamaTokenizer`, BOS is put first and EOS nowhere
 * unless `add_bos_token` and `add_eos_token` say otherwise, and control pieces written out in a text are parsed.
 */
export async function tokenizerFromSentencePiece(
  bytes: Uint8Array,
  file: string,
  settings: TokenizerSettings,
  breathe: Breathe,
): Promise<SubwordTokenizer> {
  return tokenizerOfPieces(await parseSentencePieceModel(bytes, file, breathe), settings);
}

/** The same of pieces, scores and types, whichever file they were read from. */
export function tokenizerOfPieces(model: SentencePieceModel, settings: TokenizerSettings): SubwordTokenizer {
  const vocabulary = new Vocabulary(model.entries).with(settings.addedTokens);
  const orNull = (id: number): number | null => (id < 0 ? null : id);
  const bosId = resolveId(vocabulary, settings.bosToken, orNull(model.bosId), settings.configBosId);
  const eosId = resolveId(vocabulary, settings.eosToken, orNull(model.eosId), settings.configEosId);
  const addedTokens = withControlPieces(model, vocabulary, settings);
  const specialIds = collectSpecialIds(vocabulary, addedTokens, settings, [bosId, eosId, model.unkId, model.padId]);
  const addsPrefix = model.addDummyPrefix && settings.addPrefixSpace !== false;
  return new SubwordTokenizer({
    vocabulary,
    addedTokens,
    rewrite: rewriteOf(model, addsPrefix, settings.legacy ?? true),
    model: madeAtFirstUse(() => new SentencePieceBpe(model)),
    pieces: pieceTextOf(model, vocabulary, addsPrefix),
    template: {
      before: (settings.addBos ?? true) && bosId !== null ? [bosId] : [],
      after: (settings.addEos ?? false) && eosId !== null ? [eosId] : [],
    },
    bosId,
    eosId,
    specialIds,
  });
}

/** Added tokens of the settings, and the pieces that the file or the settings call control or special. */
function withControlPieces(
  model: SentencePieceModel,
  vocabulary: Vocabulary,
  settings: TokenizerSettings,
): AddedToken[] {
  const tokens = new Map<string, AddedToken>();
  const add = (content: string, id: number): void => {
    const flags = { special: true, normalized: false, lstrip: false, rstrip: false, singleWord: false };
    tokens.set(content, { id, content, ...flags });
  };
  const { entries, types } = model;
  const isControl = (type: number): boolean => type === PIECE_TYPE.control || type === PIECE_TYPE.unknown;
  for (let id = 0; id < types.length; id++) if (isControl(types[id])) add(entries.tokens.at(id) ?? '', id);
  for (const token of [settings.bosToken, settings.eosToken, ...settings.otherSpecialTokens]) {
    const id = token === null ? undefined : vocabulary.ids.get(token);
    if (token && id !== undefined) add(token, id);
  }
  for (const token of settings.addedTokens) tokens.set(token.content, token);
  return [...tokens.values()];
}

/** SentencePiece's normaliser without a character map (src/normalizer.cc). */
function rewriteOf(model: SentencePieceModel, addsPrefix: boolean, everySegment: boolean): Rewrite {
  return (input, isFirst) => {
    const collapsed = model.removeExtraWhitespaces ? collapseSpaces(input) : input;
    const prefixed = addsPrefix && (everySegment || isFirst) ? prepend(' ', collapsed) : collapsed;
    return model.escapeWhitespaces ? replaceLiteral(' ', SPACE_SIGN, prefixed) : prefixed;
  };
}

function pieceTextOf(model: SentencePieceModel, vocabulary: Vocabulary, addsPrefix: boolean): PieceText {
  const encoder = new TextEncoder();
  const read = (id: number): Uint8Array => {
    const token = vocabulary.token(id) ?? '';
    if (model.types[id] === PIECE_TYPE.byte) return Uint8Array.of(Number.parseInt(token.slice(3, 5), 16));
    return encoder.encode(token.replaceAll(SPACE_SIGN, ' '));
  };
  return { bytesOf: cachedById(read, vocabulary.size), leadingSpaces: { count: addsPrefix ? 1 : 0, within: 'text' } };
}
