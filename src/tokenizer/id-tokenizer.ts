import { TokenizerError } from '../base/errors.js';
import type { Tokenizer } from './tokenizer.js';

/**
 * For a checkpoint without tokenizer files: ids are written as "⟨17⟩", and text cannot be encoded (`TokenizerError`).
 */
export function idTokenizer(folder: string, { vocabSize, bosId }: { vocabSize: number; bosId: number | null }): Tokenizer {
  const written = (id: number) => `⟨${id}⟩`;
  const refuse = (): never => {
    throw new TokenizerError({
      thing: 'tokenizer files',
      found: 'none',
      expected: 'tokenizer.json or tokenizer.model, or a prompt of ids',
      where: folder,
    });
  };
  return {
    vocabSize,
    bosId,
    eosId: null,
    specialIds: new Set(),
    encode: refuse,
    encodeWithOffsets: refuse,
    decode: (ids) => Array.from(ids, written).join(''),
    stream: () => ({ push: written, end: () => '' }),
    token: written,
    label: written,
    id: (token) => {
      const [, digits] = /^⟨(\d+)⟩$/.exec(token) ?? [];
      return digits !== undefined && Number(digits) < vocabSize ? Number(digits) : undefined;
    },
  };
}
