'use strict';
const { ts } = require('./compiler.cjs');

/** The names of values that a statement declares. */
function valueNames(statement) {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name.getText());
  }
  if (ts.isImportDeclaration(statement)) {
    const { name, namedBindings } = statement.importClause ?? {};
    const named = namedBindings && ts.isNamedImports(namedBindings) ? namedBindings.elements : [namedBindings];
    return [name, ...named.map((element) => element?.name)].filter(Boolean).map(({ text }) => text);
  }
  const declaresValue = ts.isClassDeclaration(statement) || ts.isEnumDeclaration(statement) || ts.isFunctionDeclaration(statement);
  return declaresValue && statement.name ? [statement.name.text] : [];
}

/** The text of a statement without the names that `keep` refuses. */
function filtered(statement, keep) {
  const names = valueNames(statement);
  if (names.every(keep)) return statement.getText();
  if (!ts.isVariableStatement(statement)) return '';
  const { declarationList } = statement;
  const word = declarationList.flags & ts.NodeFlags.Const ? 'const' : 'let';
  const kept = declarationList.declarations.filter(({ name }) => keep(name.getText()));
  return kept.map((declaration) => `declare ${word} ${declaration.getText()};`).join('\n');
}

const statementsOf = (text) => ts.createSourceFile('declarations.d.ts', text, ts.ScriptTarget.ES2022, true).statements;

/**
 * What later cells see after a cell that failed half-way: of the names that it declares, those that were given a value
 * are as it declares them, and the others as they were before it.
 */
function afterFailure(before, after, { names, assigned }) {
  const missing = new Set(names.filter((name) => !assigned.has(name)));
  if (missing.size === 0) return after;
  const isMissing = (name) => missing.has(name);
  return [
    ...statementsOf(after).map((statement) => filtered(statement, (name) => !isMissing(name))),
    ...statementsOf(before).filter((statement) => valueNames(statement).some(isMissing)).map((statement) => filtered(statement, isMissing)),
  ].filter(Boolean).join('\n');
}

module.exports = { afterFailure };
