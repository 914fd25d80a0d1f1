/** A step of a `pre_tokenizer` in the words of a `tokenizer.json`. */
type Step = Readonly<Record<string, unknown>>;

const split = (pattern: string): Step => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior: 'Isolated',
  invert: false,
});
const bytes = (cutsAsGpt2: boolean): Step => ({ type: 'ByteLevel', add_prefix_space: false, use_regex: cutsAsGpt2 });

/** LLaMA 3's pattern, with the most digits that a word may have. */
const ofLlama3 = (digits: string): string =>
  "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" +
  `${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

/** How a byte-level BPE cuts a text into words, and what goes with it. */
export interface ByteLevelSplit {
  readonly steps: readonly Step[];
  /** A word that is an entry is taken as it is. */
  readonly ignoresMerges: boolean;
  /** Whether BOS is put first, where the file does not say. */
  readonly addsBos: boolean;
}

const GPT2: ByteLevelSplit = { steps: [bytes(true)], ignoresMerges: false, addsBos: false };
const LLAMA3: ByteLevelSplit = {
  steps: [split(ofLlama3('\\p{N}{1,3}')), bytes(false)],
  ignoresMerges: true,
  addsBos: true,
};
const QWEN2: ByteLevelSplit = {
  steps: [split(ofLlama3('\\p{N}')), bytes(false)],
  ignoresMerges: false,
  addsBos: false,
};
const DIGITS: ByteLevelSplit = { steps: [split('\\p{N}'), bytes(true)], ignoresMerges: false, addsBos: false };

/** By the name that llama.cpp gives in `tokenizer.ggml.pre` (src/llama-vocab.cpp). */
export const BYTE_LEVEL_SPLITS: Readonly<Record<string, ByteLevelSplit>> = {
  'gpt-2': GPT2,
  olmo: GPT2,
  'llama-bpe': LLAMA3,
  llama3: LLAMA3,
  'llama-v3': LLAMA3,
  falcon3: LLAMA3,
  qwen2: QWEN2,
  smollm: DIGITS,
  starcoder: DIGITS,
};
