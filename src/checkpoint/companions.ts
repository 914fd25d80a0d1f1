import { copyFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { GGUF_TOKENIZER } from './gguf-tokenizer-file.js';

/** What goes along unchanged, where it is there: the tokenizer, and how the model wants to be sampled. */
const COMPANIONS = new Set([
  'generation_config.json',
  'tokenizer.json',
  'tokenizer.model',
  GGUF_TOKENIZER,
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
  'chat_template.json',
]);

/** Copies the files of a checkpoint's folder that do not depend on how its weights are stored. */
export async function copyCompanions(from: string, to: string): Promise<void> {
  for (const name of await readdir(from)) {
    if (COMPANIONS.has(name)) await copyFile(join(from, name), join(to, name));
  }
}
