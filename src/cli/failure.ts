import { CommanderError } from 'commander';
import { NibbleLensError } from '../base/errors.js';
import { log } from '../base/logger.js';
import { systemErrorInWords } from '../base/system-error.js';

/** The command was asked for something that cannot be, or its input is at fault. */
const USAGE = 2;
/** The program itself is at fault. */
const BUG = 1;
/** As shells count a process that Ctrl-C ended. */
export const INTERRUPTED = 130;

/** An argument of the command line that cannot be; the message is for the person who typed it. */
export class UsageError extends Error {}

/** Ends where output cannot be written: quietly once the reader of a pipe has gone away, else with one line. */
export function guardOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      process.exit(error.code === 'EPIPE' ? 0 : reportFailure(error));
    });
  }
}

/** Logs one line about an error and gives the exit status for it. */
export function reportFailure(error: unknown): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0;
  // a bare command, whose help is written already
  if (error instanceof CommanderError && error.code === 'commander.help') return USAGE;
  if (error instanceof Error && error.name === 'AbortError') {
    log('error', 'cancelled');
    return INTERRUPTED;
  }
  const message = usageMessage(error);
  if (message !== null) {
    log('error', oneLine(message));
    return USAGE;
  }
  const found = error instanceof Error ? error : new Error(String(error));
  const advice = 'this is a bug: please report it with the command, its output with --verbose, and that of "nibblelens environment"';
  log('error', `${oneLine(found.message)} (${advice})`);
  log('debug', found.stack ?? 'no stack');
  return BUG;
}

/** The message of an error that is the input's fault; null for a bug. */
function usageMessage(error: unknown): string | null {
  if (error instanceof CommanderError) return commandMessage(error);
  if (error instanceof UsageError || error instanceof NibbleLensError) return error.message;
  const words = systemErrorInWords(error);
  if (words === null) return null;
  const { path, syscall } = error as NodeJS.ErrnoException;
  return `${path ?? syscall ?? 'file'}: ${words}`;
}

/** What commander says, with a way on where it knows no similar name. */
function commandMessage({ code, message }: CommanderError): string {
  const isUnknown = code === 'commander.unknownOption' || code === 'commander.unknownCommand';
  const advice = isUnknown && !message.includes('Did you mean') ? ' (--help lists what there is)' : '';
  return `${message.replace(/^error: /, '')}${advice}`;
}

const oneLine = (message: string): string => message.trim().replace(/\s*\n\s*/g, ' ');
