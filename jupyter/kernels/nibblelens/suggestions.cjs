'use strict';
// The compiler itself guesses what a misspelt member was meant to be, but not what a misspelt text of a template type
// was, such as the name of a hook.
const ts = require('@tslab/typescript-for-tslab');

/** A message with its reasons, one a line, and with what was meant. */
function explained(program, diagnostic) {
  const text = ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n');
  const meant = /Did you mean/.test(text) ? undefined : suggestion(program, diagnostic);
  return { ...diagnostic, messageText: meant === undefined ? text : `${text} Did you mean '${meant}'?` };
}

/** What a misspelt text or property was meant to be, or undefined. */
function suggestion(program, { file, start }) {
  const found = file && ts.getTokenAtPosition(file, start);
  const node = found && (textGivenTo(found) ?? found);
  if (!node || !ts.isStringLiteralLike(node)) return undefined;
  const expected = expectedTexts(program.getTypeChecker(), node);
  return expected.includes(node.text) ? undefined : ts.getSpellingSuggestion(node.text, expected, (text) => text);
}

/** `'x'` of `name: 'x'` or `const name = 'x'`, as the compiler complains of the name. */
function textGivenTo({ parent }) {
  const { initializer } = ts.isPropertyAssignment(parent) || ts.isVariableDeclaration(parent) ? parent : {};
  return initializer && ts.isStringLiteralLike(initializer) ? initializer : undefined;
}

function expectedTexts(checker, node) {
  const numbers = node.text.match(/\d+/g) ?? [];
  const { parent } = node;
  if (!ts.isPropertyAssignment(parent) || parent.name !== node)
    return textsOf(checker.getContextualType(node), numbers);
  const contextual = checker.getContextualType(parent.parent);
  if (!contextual) return [];
  const type = checker.getNonNullableType(contextual);
  const patterns = checker.getIndexInfosOfType(type).flatMap(({ keyType }) => textsOf(keyType, numbers));
  return [...checker.getPropertiesOfType(type).map(({ name }) => name), ...patterns];
}

/** The texts that a type allows, with these numbers in a template's places. */
function textsOf(type, numbers) {
  if (!type) return [];
  if (type.isUnion()) return type.types.flatMap((one) => textsOf(one, numbers));
  if (type.isStringLiteral()) return [type.value];
  if (!(type.flags & ts.TypeFlags.TemplateLiteral)) return [];
  return [type.texts.reduce((text, next, i) => `${text}${numbers[i - 1] ?? 0}${next}`)];
}

module.exports = { explained };
