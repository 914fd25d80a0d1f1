/**
 * Holds back text that may be the beginning of a stop string, whatever pieces it comes in. The stop string that is
 * complete first ends the text; nothing of it, nor after it, is let through.
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = '';
  #stopped = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Text that has become certain with this piece. */
  push(piece: string): string {
    if (this.#stopped) return '';
    const text = this.#held + piece;
    const at = this.#firstComplete(text);
    this.#stopped = at >= 0;
    const certain = this.#stopped ? at : text.length - this.#begun(text);
    this.#held = this.#stopped ? '' : text.slice(certain);
    return text.slice(0, certain);
  }

  /** What is held back, at the end of the text. */
  end(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }

  /** Where the stop string begins that ends first (of those that end together, the longest), or −1. */
  #firstComplete(text: string): number {
    let start = -1;
    let end = Infinity;
    for (const stop of this.#stops) {
      const at = text.indexOf(stop);
      if (at < 0 || at + stop.length > end) continue;
      start = at + stop.length < end ? at : Math.min(start, at);
      end = at + stop.length;
    }
    return start;
  }

  /** Length of the longest end of the text that begins a stop string. */
  #begun(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
