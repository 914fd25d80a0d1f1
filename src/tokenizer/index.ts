export { tokenizerFromGguf } from './from-gguf.js';
export { openTokenizer, openTokenizerFile, type OpenTokenizerOptions } from './open.js';
export type { EncodedText, EncodeOptions, Tokenizer, TokenStream } from './tokenizer.js';
