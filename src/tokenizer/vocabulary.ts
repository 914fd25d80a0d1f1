import { TokenizerError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import { brief } from './json-field.js';

/** Ids must be smaller; the largest vocabularies in use have about 2^18 entries. */
export const ID_LIMIT = 2 ** 22;

/** Entries read between two breaths. */
const PIECE = 2048;

/** Entries by id and ids by entry. */
export class Vocabulary {
  /** Entry of each id; undefined where there is none. */
  readonly tokens: readonly (string | undefined)[];
  readonly ids: ReadonlyMap<string, number>;

  private constructor(tokens: readonly (string | undefined)[], ids: ReadonlyMap<string, number>) {
    this.tokens = tokens;
    this.ids = ids;
  }

  /** Entries of a model's file and added ones; the later wins where an id or a token is given twice. */
  static async of(
    entries: Iterable<readonly [string, number]>,
    added: readonly { readonly content: string; readonly id: number }[],
    breathe: Breathe,
  ): Promise<Vocabulary> {
    const tokens: (string | undefined)[] = [];
    const ids = new Map<string, number>();
    for (const [token, id] of entries) {
      tokens[id] = token;
      ids.set(token, id);
      if (ids.size % PIECE === 0) await breathe();
    }
    for (const { content, id } of added) {
      tokens[id] = content;
      ids.set(content, id);
    }
    return new Vocabulary(tokens, ids);
  }

  /** One more than the largest id. */
  get size(): number {
    return this.tokens.length;
  }

  /** The id of a token that the files name. */
  require(token: string, thing: string, where: string): number {
    const id = this.ids.get(token);
    if (id === undefined) {
      throw new TokenizerError({ thing, found: brief(token), expected: 'an entry of the vocabulary', where });
    }
    return id;
  }
}
