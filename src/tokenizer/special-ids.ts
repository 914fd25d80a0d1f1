import type { AddedToken } from './added-tokens.js';
import type { TokenizerSettings } from './settings.js';
import type { Vocabulary } from './vocabulary.js';

/**
 * The id of BOS or EOS: of the token that the tokenizer's files name, else what the vocabulary file itself says, else
 * what the model's config says; null where none is an entry.
 */
export function resolveId(
  vocabulary: Vocabulary,
  named: string | null,
  ofVocabulary: number | null,
  ofConfig: number | null,
): number | null {
  const candidates = [named === null ? undefined : vocabulary.ids.get(named), ofVocabulary, ofConfig];
  for (const id of candidates) {
    if (id !== undefined && id !== null && vocabulary.token(id) !== undefined) return id;
  }
  return null;
}

/** Ids that are no ordinary text: BOS, EOS, unknown, pad and the added tokens called special. */
export function collectSpecialIds(
  vocabulary: Vocabulary,
  addedTokens: readonly AddedToken[],
  settings: TokenizerSettings,
  others: Iterable<number | null>,
): Set<number> {
  const ids = new Set(addedTokens.filter(({ special }) => special).map(({ id }) => id));
  for (const token of settings.otherSpecialTokens) {
    const id = vocabulary.ids.get(token);
    if (id !== undefined) ids.add(id);
  }
  for (const id of others) if (id !== null && id >= 0) ids.add(id);
  return ids;
}
