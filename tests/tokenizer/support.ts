import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Runs `use` with a new folder that holds the given files, and removes it afterwards. */
export async function withFolder<T>(
  files: Readonly<Record<string, string | Uint8Array | object>>,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'nibblelens-tokenizer-'));
  try {
    for (const [name, content] of Object.entries(files)) {
      const raw = typeof content === 'string' || content instanceof Uint8Array;
      await writeFile(join(folder, name), raw ? content : JSON.stringify(content));
    }
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export interface TestPiece {
  text: string;
  score?: number;
  type?: number;
}

/** Fields of `trainer_spec` and `normalizer_spec` by number. */
export interface TestModel {
  pieces: readonly TestPiece[];
  trainer?: Readonly<Record<number, number>>;
  normalizer?: Readonly<Record<number, number | Uint8Array>>;
}

/** Writes a SentencePiece model in protobuf's wire format. */
export function sentencePieceFile({ pieces, trainer = { 3: 2 }, normalizer = { 4: 0 } }: TestModel): Uint8Array {
  const out: number[] = [];
  for (const { text, score = 0, type = 1 } of pieces) {
    const bytes = [...new TextEncoder().encode(text)];
    const float = [...new Uint8Array(Float32Array.of(score).buffer)];
    field(out, 1, [...lengthPrefixed(1, bytes), ...varint((2 << 3) | 5), ...float, ...varint(3 << 3), ...varint(type)]);
  }
  field(out, 2, fields(trainer));
  field(out, 3, fields(normalizer));
  return Uint8Array.from(out);
}

const field = (out: number[], number: number, bytes: readonly number[]): void => {
  for (const byte of lengthPrefixed(number, bytes)) out.push(byte);
};

const lengthPrefixed = (number: number, bytes: readonly number[]): number[] => [
  ...varint((number << 3) | 2),
  ...varint(bytes.length),
  ...bytes,
];

const fields = (values: Readonly<Record<number, number | Uint8Array>>): number[] =>
  Object.entries(values).flatMap(([number, value]) =>
    typeof value === 'number'
      ? [...varint(Number(number) << 3), ...varint(value)]
      : lengthPrefixed(Number(number), [...value]),
  );

function varint(value: number): number[] {
  let rest = BigInt.asUintN(64, BigInt(value));
  const out: number[] = [];
  while (rest >= 0x80n) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return [...out, Number(rest)];
}

/** Texts in many scripts, with emoji, combining marks, control characters and lone surrogates. */
export const ODD_TEXTS: readonly string[] = [
  '',
  ' ',
  '   ',
  'a',
  ' a ',
  'Once upon a time, there was a little girl named Lily.',
  'naïve café — “quoted” … 你好 🙂',
  'Ĉu vi parolas Esperanton? Zażółć gęślą jaźń.',
  'Съешь ещё этих мягких французских булок',
  'Ξεσκεπάζω την ψυχοφθόρα βδελυγμία',
  'שלום עולם — مرحبا بالعالم',
  'สวัสดีชาวโลก កាន់តែពិសេសអាចខលចេញ',
  'नमस्ते दुनिया, తెలుగు, தமிழ்',
  '日本語のテキスト、한국어 텍스트、中文文本',
  '👩‍👩‍👧‍👦 👋🏽 🏳️‍🌈 🇨🇭 1️⃣',
  'e\u0301 a\u0308\u0304 Z\u0335\u0327\u030c',
  '\u0000\u0001\u001f\u007f\u0080\u009f',
  'tabs\t\tnew\r\nlines\n\n\nend\n',
  '\ufeffBOM first, \ufeff in the middle',
  '▁This ▁is ▁a ▁test ▁.',
  '<0x0A> <0xE2> is no byte',
  'zero\u200bwidth\u200d joiners\u2060',
  '𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈𐌰 🜁',
  '\ufffd\uffff\ufdd0',
];
