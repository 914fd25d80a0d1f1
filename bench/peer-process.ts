import { createRequire } from 'node:module';

/** What a peer's process can be asked for: a name, and a function of one argument. */
export type Tasks = Readonly<Record<string, (argument: never) => unknown>>;

export interface Question {
  readonly id: number;
  readonly task: string;
  readonly argument: unknown;
}

export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

/** Answers questions of the parent process until it goes away. */
export function serve(tasks: Tasks): void {
  process.on('disconnect', () => process.exit());
  process.on('message', async ({ id, task, argument }: Question) => {
    const answer = (rest: Omit<Answer, 'id'>): void => void process.send?.({ id, ...rest });
    try {
      answer({ value: await tasks[task](argument as never) });
    } catch (error) {
      answer({ error: (error as Error).message });
    }
  });
}

/** Does something again and again for a while; times a second. */
export async function timesPerSecond(work: () => unknown, leastMs: number = 400): Promise<number> {
  const started = performance.now();
  let [times, ms] = [0, 0];
  for (; ms < leastMs; times++, ms = performance.now() - started) await work();
  return (1000 * times) / ms;
}

/** A CommonJS module that need not be there. */
export const optionalModule = <M>(name: string): M => createRequire(import.meta.url)(name) as M;
