import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Situation {
  /** What standard input holds; nothing unless given. */
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Lines of a POSIX shell that run the command as "$@", for redirections. */
  readonly shell?: string;
  /** Called with the running process and what it has written so far, at each piece of output. */
  readonly onOutput?: (child: ChildProcess, stdout: string) => void;
}

/** The command line as it is compiled, which starts sooner than its sources do: `npm test` compiles first. */
export const COMMAND: readonly string[] = [process.execPath, MAIN];

/** Runs the command line to its end. */
export function nibblelens(args: readonly string[], { input = '', env, cwd, shell, onOutput }: Situation = {}): Promise<Outcome> {
  const command = [...COMMAND, ...args];
  const [file, ...rest] = shell === undefined ? command : ['sh', '-c', shell, 'sh', ...command];
  const child = spawn(file as string, rest, { cwd, env: { ...process.env, ...env } });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    onOutput?.(child, stdout);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  // A command that ends without reading its input closes the pipe.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}
