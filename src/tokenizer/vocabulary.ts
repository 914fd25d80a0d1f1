import { TokenizerError } from '../base/errors.js';

/** Ids must be smaller; the largest vocabularies in use have about 2^18 entries. */
export const ID_LIMIT = 2 ** 22;

/** Entries by id and ids by entry. */
export class Vocabulary {
  /** Entry of each id; undefined where there is none. */
  readonly tokens: readonly (string | undefined)[];
  readonly ids: ReadonlyMap<string, number>;

  /** Later entries win where an id or a token is given twice. */
  constructor(entries: Iterable<readonly [string, number]>) {
    const tokens: (string | undefined)[] = [];
    const ids = new Map<string, number>();
    for (const [token, id] of entries) {
      tokens[id] = token;
      ids.set(token, id);
    }
    this.tokens = tokens;
    this.ids = ids;
  }

  /** One more than the largest id. */
  get size(): number {
    return this.tokens.length;
  }

  /** The id of a token that the files name. */
  require(token: string, thing: string, where: string): number {
    const id = this.ids.get(token);
    if (id === undefined) {
      throw new TokenizerError({ thing, found: JSON.stringify(token), expected: 'an entry of the vocabulary', where });
    }
    return id;
  }
}
