/** Work that takes less than this, in milliseconds, needs no telling. */
const PATIENCE_MS = 300;

/** A line on a terminal that tells how far something is; it is taken away in the end. Without a terminal, nothing. */
export class ProgressLine {
  #shown = false;
  readonly #stream = process.stderr;
  readonly #since = performance.now();
  readonly #enabled: boolean;

  constructor(enabled: boolean = true) {
    this.#enabled = enabled && this.#stream.isTTY;
  }

  show(label: string, done: number, total: number): void {
    if (!this.#enabled || total <= 0 || performance.now() - this.#since < PATIENCE_MS) return;
    const width = 30;
    const filled = Math.round((Math.min(done, total) / total) * width);
    this.#stream.write(`\r${label} ${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${done}/${total}\x1b[K`);
    this.#shown = true;
  }

  clear(): void {
    if (this.#shown) this.#stream.write('\r\x1b[K');
    this.#shown = false;
  }
}
