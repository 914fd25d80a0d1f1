const HEARTBEAT_MS = 15_000;

/** Prints to standard error how the set-up goes: a line as something starts that takes a while, and one as it ends. */
export class Progress {
  #started = performance.now();
  #leftOut;
  #printed = false;

  constructor(leftOut) {
    this.#leftOut = leftOut;
  }

  /**
   * Runs one step, `work(log)`, which gives `{ state, detail, cure }`: 'ready' (nothing to do), 'done', 'lost' (goes
   * on without, `detail` says what is lost and `cure` how to get it) or 'failed'. Resolves to false for the last alone.
   */
  async step(name, work) {
    if (this.#leftOut.has(name)) return true;
    const started = performance.now();
    const seconds = () => `${((performance.now() - started) / 1000).toFixed(1)} s`;
    let doing = '';
    const heartbeat = setInterval(() => doing && this.#print('…', name, `${doing}: ${seconds()}`), HEARTBEAT_MS);
    const log = (message) => {
      doing = message;
      this.#print('…', name, message);
    };
    let result;
    try {
      result = await work(log);
    } catch (error) {
      result = { state: 'failed', detail: error.message };
    } finally {
      clearInterval(heartbeat);
    }
    const { state, detail = '', cure } = result;
    if (state === 'done') this.#print('✓', name, [detail, seconds()].filter(Boolean).join(', '));
    if (state === 'lost') this.#print('!', name, `${detail}; to get it: ${cure}`);
    if (state === 'failed') this.#print('✗', name, detail);
    return state !== 'failed';
  }

  #print(sign, name, message) {
    this.#printed = true;
    process.stderr.write(`  ${sign} ${name}: ${message}\n`);
  }

  close() {
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(1);
    process.stderr.write(`  set-up: ${this.#printed ? 'finished' : 'nothing to do'} (${seconds} s)\n`);
  }
}
