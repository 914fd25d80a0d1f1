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
  const declaresValue =
    ts.isClassDeclaration(statement) || ts.isEnumDeclaration(statement) || ts.isFunctionDeclaration(statement);
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
 * What later cells see after a cell that failed half-way: the names whose values it left unchanged are as they were
 * before it, the others as it declares them.
 */
function afterFailure(before, after, unchanged) {
  if (unchanged.length === 0) return after;
  const isUnchanged = (name) => unchanged.includes(name);
  return [
    ...statementsOf(after).map((statement) => filtered(statement, (name) => !isUnchanged(name))),
    ...statementsOf(before)
      .filter((statement) => valueNames(statement).some(isUnchanged))
      .map((statement) => filtered(statement, isUnchanged)),
  ]
    .filter(Boolean)
    .join('\n');
}

module.exports = { afterFailure };
