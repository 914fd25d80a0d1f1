'use strict';
// What is changed in a cell between TypeScript and JavaScript.
const ts = require('@tslab/typescript-for-tslab');

/** The object by which a cell's code asks whether it was stopped: `{ await(value), each(iterable) }`. */
const STOPS = '$stops';

const isCell = (file) => file.fileName.endsWith('/__tslab__.ts');
const isOfEarlierCell = (declaration) => declaration.getSourceFile().fileName.endsWith('/__prev__.d.ts');

/**
 * tslab puts `exports.` before each identifier of an earlier cell, and takes two kinds of names for such identifiers
 * wrongly: it misses `x` in `{ x }`, and hits the property `a` in `const { a: b } = x` or `({ a: b } = x)`.
 */
function withCorrectEmit(builder) {
  const { emit } = builder;
  builder.emit = (file, write, token, declarationsOnly, transformers) => {
    const checker = builder.getProgram().getTypeChecker();
    const { getSymbolAtLocation } = checker;
    checker.getSymbolAtLocation = (node) => (isPropertyName(node) ? undefined : getSymbolAtLocation(node));
    try {
      const before = isCell(file) ? [lateNames(checker), stopAtAwaits] : [];
      return emit(file, write, token, declarationsOnly, { ...transformers, before });
    } finally {
      checker.getSymbolAtLocation = getSymbolAtLocation;
    }
  };
  return builder;
}

function isPropertyName(node) {
  const { parent } = node;
  if (!parent) return false;
  if (ts.isBindingElement(parent)) return parent.propertyName === node;
  return (ts.isPropertyAssignment(parent) || ts.isShorthandPropertyAssignment(parent)) && parent.name === node;
}

/**
 * `x` → `exports.x` for the cell's own variables, and within functions for its functions too: a function of this cell
 * then sees what later cells do to these names, as it does in a Python notebook. `{ x }` is spelt out for it, also
 * where x is of an earlier cell.
 */
const lateNames = (checker) => (context) => (file) => {
  const { factory } = context;
  const late = (name) => factory.createPropertyAccessExpression(factory.createIdentifier('exports'), name.text);

  /** Whether the cell declares this at its top level, as a variable or, seen from `within` functions, as a function. */
  const isLate = (symbol, within) => {
    if (!symbol || file.locals.get(symbol.escapedName) !== symbol) return false;
    const [declaration] = symbol.declarations;
    if (ts.isFunctionDeclaration(declaration)) return within.length > 0 && !within.includes(declaration);
    return isOfTopLevelStatement(declaration, file);
  };

  const inside = (within) => {
    const deeper = (node) => inside(ts.isFunctionLike(node) ? [...within, node] : within);
    return (node) => {
      if (ts.isTypeNode(node) || ts.isExportDeclaration(node)) return node;
      if (ts.isShorthandPropertyAssignment(node)) {
        const symbol = checker.getShorthandAssignmentValueSymbol(node);
        if (!isLate(symbol, within) && !symbol?.declarations?.some(isOfEarlierCell)) return node;
        const initial =
          node.objectAssignmentInitializer && ts.visitNode(node.objectAssignmentInitializer, inside(within));
        const value = initial ? factory.createAssignment(late(node.name), initial) : late(node.name);
        return factory.createPropertyAssignment(node.name.text, value);
      }
      if (!ts.isIdentifier(node)) return ts.visitEachChild(node, deeper(node), context);
      const isDeclared = node.parent.name === node;
      return !isDeclared && isLate(checker.getSymbolAtLocation(node), within)
        ? ts.setTextRange(late(node), node)
        : node;
    };
  };

  // A function can be called before its declaration, and so before the compiler's own `exports.f = f`.
  const functions = file.statements
    .filter((statement) => ts.isFunctionDeclaration(statement) && statement.name && statement.body)
    .map(({ name }) =>
      factory.createExpressionStatement(factory.createAssignment(late(name), factory.createIdentifier(name.text))),
    );
  const { statements } = ts.visitEachChild(file, inside([]), context);
  return factory.updateSourceFile(file, [...functions, ...statements]);
};

/** Whether a variable is declared by a statement of the cell itself: not in a block, and not in the head of a loop. */
function isOfTopLevelStatement(declaration, file) {
  let node = declaration;
  while (ts.isBindingElement(node) || ts.isBindingPattern(node)) node = node.parent;
  return (
    ts.isVariableDeclaration(node) && ts.isVariableStatement(node.parent.parent) && node.parent.parent.parent === file
  );
}

/** `await x` → `await $stops.await(x)`, and likewise `for await`, so that a stopped cell ends at its next await. */
const stopAtAwaits = (context) => (file) => {
  const { factory } = context;
  const checked = (method, expression) => {
    const callee = factory.createPropertyAccessExpression(factory.createIdentifier(STOPS), method);
    return factory.createCallExpression(callee, undefined, [expression]);
  };
  const visit = (node) => {
    const inner = ts.visitEachChild(node, visit, context);
    if (ts.isAwaitExpression(inner)) return factory.updateAwaitExpression(inner, checked('await', inner.expression));
    if (ts.isForOfStatement(inner) && inner.awaitModifier) {
      const { awaitModifier, initializer, expression, statement } = inner;
      return factory.updateForOfStatement(inner, awaitModifier, initializer, checked('each', expression), statement);
    }
    return inner;
  };
  return ts.visitEachChild(file, visit, context);
};

module.exports = { STOPS, withCorrectEmit };
