import { TokenizerError } from '../base/errors.js';
import { prepend, replaceLiteral, rewriteOpaquely, type AlignedText, type Rewrite } from './aligned-text.js';
import type { JsonField } from './json-field.js';
import { buildEngine } from './json-model.js';
import { checkPattern } from './json-pre-tokenizer.js';

/** Far more than any normaliser in use makes of a text: Unicode's forms make 18 characters of one at most. */
const mostOf = (length: number): number => 32 * length + 4096;

/** The `normalizer` of a `tokenizer.json`; kinds whose offsets are plain are done here, others by the engine. */
export function parseNormalizer(field: JsonField): Rewrite {
  if (field.absent) return (input) => input;
  const type = field.get('type').string();
  if (type === 'Sequence') {
    const steps = field.get('normalizers').items().map(parseNormalizer);
    return (input, isFirst) => steps.reduce((text, step) => checked(step(text, isFirst), input, field), input);
  }
  if (type === 'Prepend') {
    const prefix = field.get('prepend').insertion();
    return (input) => prepend(prefix, input);
  }
  if (type === 'Replace' && !field.get('pattern').get('String').absent) {
    const pattern = field.get('pattern').get('String');
    const content = field.get('content').insertion();
    if (pattern.string() === '') pattern.fail('some text');
    return (input) => replaceLiteral(pattern.string(), content, input);
  }
  if (type === 'Replace') {
    checkPattern(field.get('pattern'));
    field.get('content').insertion();
  }
  const { normalizer } = buildEngine({ normalizer: field.value }, `${field.file}, ${field.path}`);
  if (normalizer === null) return field.fail('a normaliser');
  return (input) => rewriteOpaquely((text) => normalizer.normalize(text), input);
}

/** Steps may lengthen a text one after the other, each a little. */
function checked(output: AlignedText, input: AlignedText, field: JsonField): AlignedText {
  const [length, most] = [output.text.length, mostOf(input.text.length)];
  if (length <= most) return output;
  throw new TokenizerError({
    thing: field.path,
    found: `steps that make ${length} characters of ${input.text.length}`,
    expected: `at most ${most}`,
    where: field.file,
  });
}
