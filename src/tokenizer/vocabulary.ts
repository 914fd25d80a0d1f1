import { TokenizerError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import { brief } from './json-field.js';

/** Ids must be smaller; the largest vocabularies in use have about 2^18 entries. */
export const ID_LIMIT = 2 ** 22;

/** Entries read between two breaths. */
const PIECE = 2048;

/** A vocabulary as its file has it, which may be read as it is asked for. */
export interface Entries {
  /** By id; an array is such a list. */
  readonly tokens: { readonly length: number; at(id: number): string | undefined };
  readonly ids: ReadonlyMap<string, number>;
}

/** Entries by id and ids by entry. */
export class Vocabulary {
  readonly #entries: Entries;

  constructor(entries: Entries) {
    this.#entries = entries;
  }

  /** Of ids by entry; the later entry wins where an id is given twice. */
  static async of(ids: ReadonlyMap<string, number>, breathe: Breathe): Promise<Vocabulary> {
    const tokens: (string | undefined)[] = [];
    let read = 0;
    for (const [token, id] of ids) {
      tokens[id] = token;
      if (++read % PIECE === 0) await breathe();
    }
    return new Vocabulary({ tokens, ids });
  }

  /** The same with added tokens, which win where an id or an entry is given twice. */
  with(added: readonly { readonly content: string; readonly id: number }[]): Vocabulary {
    if (added.length === 0) return this;
    const tokens = Array.from({ length: this.size }, (_, id) => this.token(id));
    const ids = new Map(this.ids);
    for (const { content, id } of added) {
      tokens[id] = content;
      ids.set(content, id);
    }
    return new Vocabulary({ tokens, ids });
  }

  /** One more than the largest id. */
  get size(): number {
    return this.#entries.tokens.length;
  }

  get ids(): ReadonlyMap<string, number> {
    return this.#entries.ids;
  }

  /** The entry of an id, from 0; undefined where there is none. */
  token(id: number): string | undefined {
    return this.#entries.tokens.at(id);
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
