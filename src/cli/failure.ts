import { CommanderError } from 'commander';
import { NibbleLensError } from '../base/errors.js';

/** The command was asked for something that cannot be, or its input is at fault. */
const USAGE = 2;
/** The program itself is at fault. */
const BUG = 1;
/** As shells count a process that Ctrl-C ended. */
export const INTERRUPTED = 130;

/** What a system call failed of, in words. */
const SYSTEM_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'is a folder, not a file',
  ENOTDIR: 'is a file, not a folder',
  EEXIST: 'exists already',
  ENOSPC: 'no space left on the device',
  EROFS: 'the file system is read-only',
  EMFILE: 'too many open files',
};

/** An argument of the command line that cannot be; the message is for the person who typed it. */
export class UsageError extends Error {}

/** Ends quietly, with what was written so far, once the reader of a pipe has gone away. */
export function guardPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }
}

/** Writes one line about an error to standard error and gives the exit status for it. */
export function reportFailure(error: unknown, argv: readonly string[]): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0;
  if (error instanceof Error && error.name === 'AbortError') {
    process.stderr.write('nibblelens: cancelled\n');
    return INTERRUPTED;
  }
  const message = usageMessage(error);
  if (message !== null) {
    if (message !== '') process.stderr.write(`nibblelens: ${oneLine(message)}\n`);
    return USAGE;
  }
  const verbose = argv.includes('--verbose');
  const found = error instanceof Error ? error : new Error(String(error));
  const report = 'this is a bug: please report it with the command and the output of "nibblelens environment"';
  process.stderr.write(`nibblelens: ${oneLine(found.message)} (${report}${verbose ? '' : '; --verbose shows where'})\n`);
  if (verbose) process.stderr.write(`${found.stack ?? ''}\n`);
  return BUG;
}

/** The message of an error that is the input's fault, empty where it was written already; null for a bug. */
function usageMessage(error: unknown): string | null {
  if (error instanceof CommanderError) return error.code === 'commander.help' ? '' : error.message.replace(/^error: /, '');
  if (error instanceof UsageError || error instanceof NibbleLensError) return error.message;
  const { code, path } = (error ?? {}) as NodeJS.ErrnoException;
  const words = code === undefined ? undefined : SYSTEM_ERRORS[code];
  return words === undefined ? null : `${path ?? 'file'}: ${words}`;
}

const oneLine = (message: string): string => message.trim().replace(/\s*\n\s*/g, ' ');
