/** How often each token occurs among the last ones. */
export class TokenCounts {
  readonly #window: number;
  readonly #recent: number[] = [];
  readonly #counts = new Map<number, number>();

  /** `window`: how many of the last tokens count; may be Infinity. */
  constructor(window: number) {
    this.#window = window;
  }

  get counts(): ReadonlyMap<number, number> {
    return this.#counts;
  }

  add(id: number): void {
    if (this.#window === 0) return;
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    this.#recent.push(id);
    if (this.#recent.length <= this.#window) return;
    const old = this.#recent.shift() as number;
    const left = (this.#counts.get(old) as number) - 1;
    if (left === 0) this.#counts.delete(old);
    else this.#counts.set(old, left);
  }
}
