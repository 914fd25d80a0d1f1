/** Finds which of many strings begins at a place of a text: the longest one wins. */
export class LiteralMatcher {
  readonly #byFirstUnit = new Map<number, string[]>();

  constructor(literals: Iterable<string>) {
    for (const literal of literals) {
      if (literal.length === 0) continue;
      const first = literal.charCodeAt(0);
      const bucket = this.#byFirstUnit.get(first);
      if (bucket) bucket.push(literal);
      else this.#byFirstUnit.set(first, [literal]);
    }
    for (const bucket of this.#byFirstUnit.values()) bucket.sort((a, b) => b.length - a.length);
  }

  get isEmpty(): boolean {
    return this.#byFirstUnit.size === 0;
  }

  at(text: string, position: number): string | undefined {
    return this.#byFirstUnit.get(text.charCodeAt(position))?.find((literal) => text.startsWith(literal, position));
  }
}
