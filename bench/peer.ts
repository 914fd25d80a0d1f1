import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Answer } from './peer-process.js';

/**
 * Another engine, in a process of its own: what it keeps in memory, and its threads, are not in the way of others while
 * nothing is asked of it.
 */
export class Peer {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #asked = 0;

  private constructor(
    readonly name: string,
    file: string,
    env: Readonly<Record<string, string>>,
  ) {
    this.#child = fork(fileURLToPath(new URL(`peers/${file}`, import.meta.url)), {
      execArgv: ['--import', 'tsx'],
      env: { ...process.env, ...env },
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#child.on('message', ({ id, value, error }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(value as never);
      else waiting?.reject(new Error(`${name}: ${error}`));
    });
    this.#child.on('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`${name}: ended, ${signal ?? `status ${code}`}`));
    });
  }

  /** Starts one; `absent` says why it cannot be asked. */
  static async start(name: string, file: string, env: Readonly<Record<string, string>> = {}): Promise<Peer | { absent: string }> {
    const peer = new Peer(name, file, env);
    try {
      await peer.ask('start');
      return peer;
    } catch (error) {
      peer.end();
      const [message] = (error as Error).message.split('\n');
      return { absent: /Cannot find (package|module)/.test(message) ? `${name} is not installed` : message };
    }
  }

  ask<Value>(task: string, argument?: unknown): Promise<Value> {
    const id = this.#asked++;
    return new Promise<Value>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, task, argument }, (error) => error && reject(error));
    });
  }

  end(): void {
    this.#child.kill();
  }
}
