import { spawn } from 'node:child_process';

/** Ends a child and all that it started; on Windows the child alone. */
function end(child) {
  try {
    if (process.platform === 'win32') child.kill();
    else process.kill(-child.pid, 'SIGKILL');
  } catch {
    // it has ended by itself
  }
}

const running = new Set();
process.on('exit', () => running.forEach(end));

/** Children are in process groups of their own, so a Ctrl-C reaches them only through this one. */
const interrupted = () => process.exit(130);

function track(child) {
  if (running.size === 0) process.on('SIGINT', interrupted).on('SIGTERM', interrupted);
  running.add(child);
}

function untrack(child) {
  if (running.delete(child) && running.size === 0) process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
}

/**
 * Runs a command to its end and gives `{ ok, code, output, seconds }`, where `output` is what it wrote to both streams
 * and `code` is null where it was ended by a signal, by `timeoutMs`, or could not be started (`output` says why).
 * Nothing that it starts outlives it. It never rejects.
 */
export function run(command, args, { cwd, env, timeoutMs = 600_000, onOutput } = {}) {
  const started = performance.now();
  return new Promise((resolve) => {
    let output = '';
    const finish = (code) => {
      clearTimeout(timer);
      untrack(child);
      resolve({ ok: code === 0, code, output: output.trim(), seconds: (performance.now() - started) / 1000 });
    };
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: process.platform !== 'win32',
      shell: process.platform === 'win32' && command === 'npm',
    });
    track(child);
    const timer = setTimeout(() => {
      output += `\nended after ${timeoutMs / 1000} s`;
      end(child);
    }, timeoutMs);
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text) => {
        output += text;
        onOutput?.(text);
      });
    }
    child.on('error', (error) => {
      output += error.message;
      finish(null);
    });
    child.on('close', finish);
  });
}

/** The last lines of a command's output, for an error message. */
export const tail = (output, lines = 12) => output.split('\n').slice(-lines).join('\n');
