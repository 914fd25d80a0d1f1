import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { OptionError, TokenizerError } from '../base/errors.js';
import { breather } from '../base/event-loop.js';
import { GGUF_TOKENIZER } from '../checkpoint/gguf-tokenizer-file.js';
import { isGguf, readGgufMetadata } from '../checkpoint/gguf-modules.js';
import { tokenizerFromGguf } from './from-gguf.js';
import { tokenizerFromSentencePiece } from './from-sentencepiece.js';
import { tokenizerFromJson } from './from-tokenizer-json.js';
import { readSettings, readTokenizerFile } from './settings.js';
import type { Tokenizer } from './tokenizer.js';

/** How a tokenizer is opened. */
export interface OpenTokenizerOptions {
  /** Which file to take where both are there; `tokenizer.json` by default. */
  prefer?: 'tokenizer.json' | 'tokenizer.model';
  signal?: AbortSignal;
}

/** Files that tell of a tokenizer which cannot be read, and of what kind it is. */
const OTHER_KINDS: readonly (readonly [file: string, kind: string])[] = [
  ['tekken.json', 'Mistral tekken'],
  ['merges.txt', 'vocab.json with merges.txt'],
  ['vocab.txt', 'WordPiece vocab.txt'],
  ['spiece.model', 'SentencePiece unigram'],
];

/**
 * Opens the tokenizer of a GGUF file, or of a model's folder: `tokenizer.json`, else SentencePiece's `tokenizer.model`,
 * else `tokenizer.gguf` of a converted GGUF file; BOS, EOS and added tokens as `tokenizer_config.json`,
 * `special_tokens_map.json`, `added_tokens.json` and the model's config say. The pieces of a `tokenizer.gguf` are read when
 * a text is first encoded or an entry looked for: of 32,000 that takes some 50 ms, and what is wrong with one of them is a
 * TokenizerError only then.
 * @throws TokenizerError if the folder has none, or a file is damaged or of a kind that is not supported.
 */
export async function openTokenizer(directory: string, options: OpenTokenizerOptions = {}): Promise<Tokenizer> {
  const { prefer = 'tokenizer.json', signal } = options;
  if (prefer !== 'tokenizer.json' && prefer !== 'tokenizer.model') {
    throw new OptionError({ thing: 'option prefer', found: prefer, expected: 'tokenizer.json or tokenizer.model' });
  }
  if (await isGguf(directory)) return openGgufTokenizer(directory, false, signal);
  const names = [prefer, 'tokenizer.json', 'tokenizer.model'];
  for (const name of names) {
    if (await isFile(join(directory, name))) return openTokenizerFile(join(directory, name), { signal });
  }
  if (await isFile(join(directory, GGUF_TOKENIZER))) return openGgufTokenizer(join(directory, GGUF_TOKENIZER), true, signal);
  const isFolder = await stat(directory).then((entry) => entry.isDirectory(), () => false);
  let found = isFolder ? 'neither' : 'no such folder';
  for (const [file, kind] of OTHER_KINDS) if (await isFile(join(directory, file))) found = `${file} (${kind})`;
  const expected = 'tokenizer.json or tokenizer.model';
  throw new TokenizerError({ thing: 'tokenizer', found, expected, where: directory });
}

/** Opens one tokenizer file, `….json` or `….model`, with the settings of the folder that it lies in. */
export async function openTokenizerFile(path: string, options: { signal?: AbortSignal } = {}): Promise<Tokenizer> {
  const breathe = breather(options.signal);
  const bytes = await readTokenizerFile(path);
  const settings = await readSettings(dirname(path), breathe);
  if (basename(path).endsWith('.json')) return tokenizerFromJson(bytes, path, settings, breathe);
  const kind = otherKindOf(bytes);
  if (kind !== null) {
    const expected = 'a SentencePiece model';
    throw new TokenizerError({ thing: 'kind of tokenizer', found: kind, expected, where: path });
  }
  return tokenizerFromSentencePiece(bytes, path, settings, breathe);
}

async function openGgufTokenizer(path: string, isDeferred: boolean, signal?: AbortSignal): Promise<Tokenizer> {
  const breathe = breather(signal);
  const metadata = await readGgufMetadata(path, breathe);
  return tokenizerFromGguf(metadata, breathe, isDeferred);
}

/** Tells files by their first bytes that are no SentencePiece model, or null. */
function otherKindOf(bytes: Uint8Array): string | null {
  const head = new TextDecoder('latin1').decode(bytes.subarray(0, 64));
  if (head.startsWith('GGUF')) return 'GGUF';
  if (head.startsWith('version https://git-lfs')) return 'a Git LFS pointer; the file itself was not fetched';
  if (head.startsWith('{')) return 'JSON';
  return /^[A-Za-z0-9+/]+={0,2} \d+\n/.test(head) ? 'tiktoken ranks (LLaMA 3); use its tokenizer.json' : null;
}

const isFile = (path: string): Promise<boolean> => stat(path).then((entry) => entry.isFile(), () => false);
