import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface ProcessResult {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs node with these arguments at the root of the project, with TypeScript; fails unless it ends well. */
export async function runNode(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<ProcessResult> {
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env; // or a test file in the child would report to this one's runner
  const child = spawn(process.execPath, ['--import', 'tsx', ...args], { cwd: ROOT, env: { ...inherited, ...env } });
  const output = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (text) => (output[stream] += text));
  const status = await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject));
  assert.equal(status, 0, output.stderr + output.stdout);
  return output;
}

/** Runs a module given as text, whose imports are from the root of the project: './src/…'. */
export const runInProcess = (code: string, env: NodeJS.ProcessEnv = {}): Promise<ProcessResult> =>
  runNode(['--input-type=module', '-e', code], env);
