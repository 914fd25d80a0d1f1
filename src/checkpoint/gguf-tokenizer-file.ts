import { writeFile } from 'node:fs/promises';
import type { Breathe } from '../base/event-loop.js';
import { openSource } from './byte-source.js';
import type { GgufMetadata } from './gguf-metadata.js';
import { cutHeader } from './gguf-layout.js';

/** Where the number of tensors is in a GGUF file, in 8 bytes. */
const TENSOR_COUNT = 8;
const ALIGNMENT = 32;

/** The file of a folder that holds the metadata of the GGUF file which its model was made of, and so the tokenizer. */
export const GGUF_TOKENIZER = 'tokenizer.gguf';

/** The kind of tokenizer that a GGUF file holds, or null for one that holds none. */
export function ggufTokenizerKind(metadata: GgufMetadata): string | null {
  const kind = metadata.text('tokenizer.ggml.model');
  return kind === 'none' || kind === 'no_vocab' ? null : kind;
}

/** Writes a GGUF file with the metadata of another one, bit by bit, and no tensors. */
export async function copyGgufMetadata(from: string, to: string, breathe: Breathe): Promise<void> {
  const source = await openSource(from, 'copy', 'GGUF file');
  try {
    const { metadataEnd } = await cutHeader(source, from, breathe);
    const { buffer, start } = await source.read(0, metadataEnd, breathe);
    const file = new Uint8Array(Math.ceil(metadataEnd / ALIGNMENT) * ALIGNMENT);
    file.set(new Uint8Array(buffer, start, metadataEnd));
    file.fill(0, TENSOR_COUNT, TENSOR_COUNT + 8);
    await writeFile(to, file);
  } finally {
    await source.close();
  }
}
