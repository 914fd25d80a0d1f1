import { prepend, replaceLiteral, type Rewrite } from './aligned-text.js';
import type { JsonField } from './json-field.js';
import { SPACE_SIGN, wordSplitter } from './subword-model.js';

export interface PreTokenizer {
  /** What it changes in the text before cutting it. */
  readonly rewrite: Rewrite;
  /** Whether words come out in byte characters. */
  readonly byteLevel: boolean;
  /** How to cut a text into words; null where the engine does that. */
  readonly words: ((text: string) => string[]) | null;
}

/** Kinds that the engine cuts as the reference does, if there is no `behavior` below. */
const SPLITS = ['Split', 'Digits', 'Punctuation', 'Whitespace', 'WhitespaceSplit', 'BertPreTokenizer'];
const CUT_BY_ENGINE = ['ByteLevel', ...SPLITS];
const BEHAVIORS = ['Isolated', 'Removed'];

/** The `pre_tokenizer` of a `tokenizer.json`. */
export function parsePreTokenizer(field: JsonField, vocabulary: Iterable<string>): PreTokenizer {
  if (field.absent) return { rewrite: (input) => input, byteLevel: false, words: wordSplitter(vocabulary) };
  if (field.get('type').string() === 'Metaspace') return parseMetaspace(field, vocabulary);
  const leaves = leavesOf(field);
  for (const leaf of leaves) {
    const type = leaf.get('type').string();
    if (!CUT_BY_ENGINE.includes(type)) leaf.get('type').fail(`one of ${CUT_BY_ENGINE.join(', ')}, or Metaspace alone`);
    if (type === 'Split') checkPattern(leaf.get('pattern'));
    const behavior = leaf.get('behavior');
    if (type !== 'ByteLevel' && !behavior.absent && !BEHAVIORS.includes(behavior.string())) {
      behavior.fail(`${BEHAVIORS.join(' or ')}: other behaviors are not supported`);
    }
  }
  const bytesAt = leaves.findIndex((leaf) => leaf.get('type').value === 'ByteLevel');
  if (bytesAt >= 0 && bytesAt < leaves.length - 1) field.fail('ByteLevel as the last step');
  return { rewrite: (input) => input, byteLevel: bytesAt >= 0, words: null };
}

/** A pattern is a string or a regular expression; the engine would ignore anything else. */
export function checkPattern(field: JsonField): void {
  const given = [field.get('String'), field.get('Regex')].find((pattern) => !pattern.absent);
  if (given === undefined) field.fail('String or Regex');
  given.string();
}

function leavesOf(field: JsonField): JsonField[] {
  return field.get('type').string() === 'Sequence' ? field.get('pretokenizers').items().flatMap(leavesOf) : [field];
}

/** Metaspace writes spaces as "▁" and puts one first, unless there is one; `split` cuts before each. */
function parseMetaspace(field: JsonField, vocabulary: Iterable<string>): PreTokenizer {
  const replacement = field.get('replacement').optionalString() ?? SPACE_SIGN;
  if (replacement !== SPACE_SIGN) field.get('replacement').fail(`"${SPACE_SIGN}"`);
  const scheme = prependScheme(field);
  const splits = field.get('split').optionalBoolean() ?? true;
  return {
    byteLevel: false,
    rewrite: (input, isFirst) => {
      const escaped = replaceLiteral(' ', SPACE_SIGN, input);
      const wanted = scheme === 'always' || (scheme === 'first' && isFirst);
      return wanted && !escaped.text.startsWith(SPACE_SIGN) ? prepend(SPACE_SIGN, escaped) : escaped;
    },
    words: splits ? (text) => text.match(/▁?[^▁]+|▁/g) ?? [] : wordSplitter(vocabulary),
  };
}

/** `prepend_scheme`, or what older files say by `add_prefix_space`. */
export function prependScheme(field: JsonField): 'always' | 'first' | 'never' {
  const scheme = field.get('prepend_scheme').optionalString();
  if (scheme === null) return (field.get('add_prefix_space').optionalBoolean() ?? true) ? 'always' : 'never';
  if (scheme === 'always' || scheme === 'first' || scheme === 'never') return scheme;
  return field.get('prepend_scheme').fail('"always", "first" or "never"');
}
