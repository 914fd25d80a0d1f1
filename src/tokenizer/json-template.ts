import type { JsonField } from './json-field.js';
import { ID_LIMIT, type Vocabulary } from './vocabulary.js';

/** Ids that are put around a text. */
export interface Template {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/** What the `post_processor` of a `tokenizer.json` puts around one text. */
export function parseTemplate(field: JsonField, vocabulary: Vocabulary): Template {
  if (field.absent) return { before: [], after: [] };
  switch (field.get('type').string()) {
    case 'ByteLevel':
      return { before: [], after: [] };
    case 'TemplateProcessing':
      return parseTemplateProcessing(field, vocabulary);
    case 'BertProcessing':
    case 'RobertaProcessing': {
      const idOf = (key: string): number => entry(field.get(key).items()[1] ?? field.get(key), vocabulary);
      return { before: [idOf('cls')], after: [idOf('sep')] };
    }
    case 'Sequence': {
      const inner = field.get('processors').items().map((processor) => parseTemplate(processor, vocabulary));
      return {
        before: inner.toReversed().flatMap(({ before }) => before),
        after: inner.flatMap(({ after }) => after),
      };
    }
    default:
      return field.get('type').fail('TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing or a Sequence');
  }
}

function parseTemplateProcessing(field: JsonField, vocabulary: Vocabulary): Template {
  const before: number[] = [];
  const after: number[] = [];
  let hasText = false;
  for (const item of field.get('single').items()) {
    const special = item.get('SpecialToken');
    if (!special.absent) {
      const token = special.get('id').string();
      const ids = field.get('special_tokens').get(token).get('ids');
      (hasText ? after : before).push(...ids.items().map((id) => entry(id, vocabulary)));
      continue;
    }
    if (item.get('Sequence').get('id').string() !== 'A' || hasText) item.fail('a special token, or sequence A once');
    hasText = true;
  }
  if (!hasText) field.get('single').fail('a template that holds sequence A');
  return { before, after };
}

function entry(field: JsonField, vocabulary: Vocabulary): number {
  const id = field.index(ID_LIMIT);
  return vocabulary.token(id) === undefined ? field.fail('the id of an entry of the vocabulary') : id;
}
