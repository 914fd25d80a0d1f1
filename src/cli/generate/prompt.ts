import { createInterface } from 'node:readline';
import { UsageError } from '../failure.js';

/** All of standard input as text, less one newline at its end; a pipe's text rarely means that newline. */
export async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  if (chunks.length === 0) {
    throw new UsageError('prompt: found nothing on standard input, expected --prompt, --tokens-in or text');
  }
  return utf8(Buffer.concat(chunks), 'standard input').replace(/\r?\n$/, '');
}

function utf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(`prompt: found bytes that are not UTF-8, expected UTF-8 text (${where})`);
  }
}

/**
 * Asks for prompts on a terminal, one a line, until Ctrl-D, or Ctrl-C while it asks; `answer` writes what follows each,
 * and a Ctrl-C in its midst is its own to handle. All but the answers goes to standard error.
 */
export async function askForPrompts(
  answer: (prompt: string) => Promise<void>,
  { quiet }: { quiet?: boolean },
): Promise<void> {
  if (!quiet) process.stderr.write('one prompt a line; Ctrl-C stops the text, Ctrl-D ends\n');
  for (;;) {
    const line = await askLine();
    if (line === null) return;
    if (line.trim() !== '') await answer(line);
  }
}

/** One line, or null at the end of input. The reader is open only while it waits, so that it takes no signal of others. */
function askLine(): Promise<string | null> {
  const reader = createInterface({ input: process.stdin, output: process.stderr, prompt: '> ' });
  return new Promise((resolve) => {
    let line: string | null = null;
    reader.on('line', (text) => {
      line = text;
      reader.close();
    });
    reader.on('SIGINT', () => reader.close());
    reader.on('close', () => {
      if (line === null) process.stderr.write('\n');
      resolve(line);
    });
    reader.prompt();
  });
}
