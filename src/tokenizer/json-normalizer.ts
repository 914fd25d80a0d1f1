import { prepend, replaceLiteral, rewriteOpaquely, type Rewrite } from './aligned-text.js';
import type { JsonField } from './json-field.js';
import { buildEngine } from './json-model.js';
import { checkPattern } from './json-pre-tokenizer.js';

/** The `normalizer` of a `tokenizer.json`; kinds whose offsets are plain are done here, others by the engine. */
export function parseNormalizer(field: JsonField): Rewrite {
  if (field.absent) return (input) => input;
  const type = field.get('type').string();
  if (type === 'Sequence') {
    const steps = field.get('normalizers').items().map(parseNormalizer);
    return (input, isFirst) => steps.reduce((text, step) => step(text, isFirst), input);
  }
  if (type === 'Prepend') {
    const prefix = field.get('prepend').string();
    return (input) => prepend(prefix, input);
  }
  if (type === 'Replace' && !field.get('pattern').get('String').absent) {
    const pattern = field.get('pattern').get('String');
    const content = field.get('content').string();
    if (pattern.string() === '') pattern.fail('some text');
    return (input) => replaceLiteral(pattern.string(), content, input);
  }
  if (type === 'Replace') checkPattern(field.get('pattern'));
  const { normalizer } = buildEngine({ normalizer: field.value }, `${field.file}, ${field.path}`);
  if (normalizer === null) return field.fail('a normaliser');
  return (input) => rewriteOpaquely((text) => normalizer.normalize(text), input);
}
