import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('../../tests/fuzz/child.ts', import.meta.url));

/** A case that takes longer than this hangs: the slowest take some tenths of a second, on a machine that is busy. */
const CASE_MS = 30_000;
const START_MS = 120_000;

/**
 * A process that runs cases of `tests/fuzz` in its memory, so that what ends it can be told from the next case. `run`
 * gives what the process said of a case, or a fault: a crash, a hang, or more memory than `mostBytes`.
 */
export class Worker {
  #child = null;

  constructor({ root, seed, native, keep, mostBytes }) {
    this.peakBytes = 0;
    this.native = native;
    this.options = { root, seed, keep, mostBytes };
  }

  async run(index) {
    if (this.#child === null) await this.#start();
    const answer = await this.#ask(index, CASE_MS);
    if (answer.peakBytes === undefined) return answer;
    this.peakBytes = Math.max(this.peakBytes, answer.peakBytes);
    if (answer.peakBytes <= this.options.mostBytes) return answer;
    // Its peak stays with a process.
    this.stop();
    const megabytes = (bytes) => Math.round(bytes / 1e6);
    return {
      kind: 'fault',
      message: `${megabytes(answer.peakBytes)} MB of memory, of ${megabytes(this.options.mostBytes)}`,
    };
  }

  stop() {
    this.#child?.removeAllListeners();
    this.#child?.kill('SIGKILL');
    this.#child = null;
  }

  async #start() {
    const { root, seed, mostBytes, keep } = this.options;
    this.#child = fork(CHILD, [root, String(seed), String(mostBytes), ...(keep ? ['keep'] : [])], {
      execArgv: ['--import', import.meta.resolve('tsx')],
      env: { ...process.env, ...(this.native ? {} : { NIBBLELENS_NATIVE: 'off' }) },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const started = await this.#ask(null, START_MS);
    if (!started.ready) throw new Error(`the process that runs the cases does not start: ${started.message}`);
  }

  /** Sends a case and waits for the answer, or for the end of the process. */
  #ask(index, limit) {
    const child = this.#child;
    let said = '';
    const listen = (data) => (said = (said + data).slice(-2000));
    return new Promise((resolve) => {
      const finish = (answer) => {
        clearTimeout(timer);
        child.removeAllListeners();
        child.stderr.off('data', listen);
        resolve(answer);
      };
      const timer = setTimeout(() => {
        this.stop();
        finish({ kind: 'fault', message: `no end after ${limit / 1000} s` });
      }, limit);
      child.stderr.on('data', listen);
      child.once('message', finish);
      child.once('close', (code, signal) => {
        this.#child = null;
        finish({ kind: 'fault', message: `the process ended with ${signal ?? `status ${code}`}: ${said.trim()}` });
      });
      if (index !== null) child.send(index);
    });
  }
}
