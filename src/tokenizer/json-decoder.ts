import { byteOfToken, bytesOfCharacters } from './byte-characters.js';
import type { JsonField } from './json-field.js';
import { prependScheme } from './json-pre-tokenizer.js';
import { cachedById, type LeadingSpaces, type PieceText } from './piece-text.js';
import { SPACE_SIGN } from './subword-model.js';
import type { Vocabulary } from './vocabulary.js';

interface DecoderRules {
  byteLevel: boolean;
  byteFallback: boolean;
  fused: boolean;
  readonly replacements: [pattern: string, content: string][];
  leadingSpaces: LeadingSpaces;
}

const KINDS = 'ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip or a Sequence of them';

/** The `decoder` of a `tokenizer.json`, as bytes per id. */
export function parseDecoder(field: JsonField, vocabulary: Vocabulary, addedIds: ReadonlySet<number>): PieceText {
  if (field.absent) field.fail(KINDS);
  const rules: DecoderRules = {
    byteLevel: false,
    byteFallback: false,
    fused: false,
    replacements: [],
    leadingSpaces: { count: 0, within: 'text' },
  };
  readStep(field, rules);
  if (rules.byteLevel && (rules.byteFallback || rules.replacements.length > 0)) field.fail('ByteLevel alone');

  const encoder = new TextEncoder();
  const read = (id: number): Uint8Array => {
    const token = vocabulary.token(id) ?? '';
    if (rules.byteLevel) return (addedIds.has(id) ? null : bytesOfCharacters(token)) ?? encoder.encode(token);
    const byte = rules.byteFallback ? byteOfToken(token) : -1;
    if (byte >= 0) return Uint8Array.of(byte);
    return encoder.encode(rules.replacements.reduce((text, [from, to]) => text.replaceAll(from, to), token));
  };
  return { bytesOf: cachedById(read, vocabulary.size), leadingSpaces: rules.leadingSpaces };
}

function readStep(step: JsonField, rules: DecoderRules): void {
  switch (step.get('type').string()) {
    case 'Sequence':
      for (const inner of step.get('decoders').items()) readStep(inner, rules);
      break;
    case 'ByteLevel':
      rules.byteLevel = true;
      break;
    case 'ByteFallback':
      rules.byteFallback = true;
      break;
    case 'Fuse':
      rules.fused = true;
      break;
    case 'Replace': {
      const pattern = step.get('pattern').get('String');
      if (pattern.string() === '') pattern.fail('some text');
      rules.replacements.push([pattern.string(), step.get('content').insertion()]);
      break;
    }
    case 'Strip':
      if (!rules.fused) step.fail('Strip after Fuse');
      if (step.get('content').string() !== ' ') step.get('content').fail('a space');
      if (step.get('stop').index(2 ** 31) !== 0) step.get('stop').fail('0');
      rules.leadingSpaces = { count: step.get('start').index(2 ** 31), within: 'text' };
      break;
    case 'Metaspace': {
      rules.replacements.push([step.get('replacement').optionalString() ?? SPACE_SIGN, ' ']);
      if (prependScheme(step) !== 'never') rules.leadingSpaces = { count: Infinity, within: 'first-token' };
      break;
    }
    default:
      step.get('type').fail(KINDS);
  }
}
