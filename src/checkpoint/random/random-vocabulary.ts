import type { Breathe } from '../../base/event-loop.js';
import { ggufValue, type GgufValue } from '../write-gguf.js';

/** llama.cpp's types of tokens. */
const [NORMAL, UNKNOWN, CONTROL, BYTE] = [1, 2, 3, 6];

const LETTERS = [...'abcdefghijklmnopqrstuvwxyz'];
const SPACE = '▁';
const PIECES_PER_BREATH = 2 ** 11;

/** Characters, then all texts of two, three, … letters with and without a space before them: each made of shorter ones. */
function* pieces(): Iterable<string> {
  yield SPACE;
  for (let code = 0x21; code < 0x7f; code++) yield String.fromCharCode(code);
  let texts = LETTERS;
  yield* texts.map((text) => SPACE + text);
  for (;;) {
    texts = texts.flatMap((text) => LETTERS.map((letter) => text + letter));
    yield* texts;
    yield* texts.map((text) => SPACE + text);
  }
}

async function firstPieces(count: number, breathe: Breathe): Promise<string[]> {
  const first: string[] = [];
  for (const piece of pieces()) {
    if (first.length === count) break;
    if (first.length % PIECES_PER_BREATH === 0) await breathe();
    first.push(piece);
  }
  return first;
}

/** Metadata of a vocabulary as SentencePiece's BPE has them: special tokens, all bytes, and pieces, the likelier first. */
export async function randomVocabulary(size: number, breathe: Breathe): Promise<Record<string, GgufValue>> {
  const special = ['<unk>', '<s>', '</s>'];
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  const ordinary = await firstPieces(size - special.length - bytes.length, breathe);
  const types = [UNKNOWN, CONTROL, CONTROL, ...bytes.map(() => BYTE), ...ordinary.map(() => NORMAL)];
  await breathe();
  const tokens = ggufValue.texts([...special, ...bytes, ...ordinary]);
  await breathe();
  return {
    'tokenizer.ggml.model': ggufValue.text('llama'),
    'tokenizer.ggml.pre': ggufValue.text('default'),
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.scores': ggufValue.float32s([...special, ...bytes].map(() => 0).concat(ordinary.map((_, i) => -i))),
    'tokenizer.ggml.token_type': ggufValue.int32s(types),
    'tokenizer.ggml.bos_token_id': ggufValue.uint32(1),
    'tokenizer.ggml.eos_token_id': ggufValue.uint32(2),
    'tokenizer.ggml.unknown_token_id': ggufValue.uint32(0),
    'tokenizer.ggml.add_bos_token': ggufValue.flag(true),
    'tokenizer.ggml.add_eos_token': ggufValue.flag(false),
    'tokenizer.ggml.add_space_prefix': ggufValue.flag(true),
  };
}
