import { mutateBytes } from './mutate-bytes.js';
import type { Draws } from './random.js';

/** JSON as a tree whose objects may hold a key twice, and whose scalars may be any text. */
export type Tree =
  | { kind: 'object'; entries: [key: string, value: Tree][] }
  | { kind: 'array'; items: Tree[] }
  | { kind: 'scalar'; text: string };

const scalar = (text: string): Tree => ({ kind: 'scalar', text });

export function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return { kind: 'array', items: value.map(treeOf) };
  if (typeof value === 'object' && value !== null) {
    return { kind: 'object', entries: Object.entries(value).map(([key, part]) => [key, treeOf(part)]) };
  }
  return scalar(JSON.stringify(value) ?? 'null');
}

export function textOf(tree: Tree): string {
  switch (tree.kind) {
    case 'scalar':
      return tree.text;
    case 'array':
      return `[${tree.items.map(textOf).join(',')}]`;
    case 'object':
      return `{${tree.entries.map(([key, value]) => `${JSON.stringify(key)}:${textOf(value)}`).join(',')}}`;
  }
}

const SCALARS = [
  '0',
  '-0',
  '1',
  '-1',
  '2',
  '3',
  '7',
  '16',
  '64',
  '127',
  '255',
  '256',
  '0.5',
  '1e-9',
  '1e308',
  '1e999',
  '-1e999',
  '65536',
  '16777216',
  '2147483647',
  '2147483648',
  '4294967296',
  '9007199254740991',
  '9007199254740993',
  '1e20',
  '18446744073709551616',
  'null',
  'true',
  'false',
  'NaN',
  'Infinity',
  '""',
  '"\\u0000"',
  '"\\ud800"',
  '"__proto__"',
  '"constructor"',
  '"\u2581"',
  '"F32"',
  '"F16"',
  '"I32"',
  '"U8"',
  '"F8_E4M3"',
  '"awq"',
  '"../x"',
] as const;

const KEYS = [
  '__proto__',
  'constructor',
  '',
  'a',
  'length',
  '0',
  '__metadata__',
  'type',
  'toString',
  '\ud800',
] as const;

/** Deeper than any recursion can follow. */
const DEEP = 20_000;

/** Changes 1 to 4 places of a JSON file as JSON, and now and then some bytes of the result. */
export function mutateJson(file: Uint8Array, draws: Draws): Uint8Array {
  const tree = treeOf(JSON.parse(new TextDecoder().decode(file)));
  const changed = mutateTree(tree, draws);
  const bytes = new TextEncoder().encode(textOf(changed));
  return draws.once(20) ? mutateBytes(bytes, draws) : bytes;
}

export function mutateTree(tree: Tree, draws: Draws): Tree {
  for (let edits = 1 + draws.below(draws.pick([1, 1, 1, 2, 4])); edits > 0; edits--) tree = edit(tree, draws);
  return tree;
}

function edit(root: Tree, draws: Draws): Tree {
  const { holder, index } = somewhere(root, draws);
  if (holder === null) return draws.once(8) ? replacement(root, draws) : root;
  const values = childrenOf(holder);
  switch (draws.below(12)) {
    case 0:
      remove(holder, index);
      break;
    case 1: {
      if (holder.kind === 'object')
        holder.entries.push([
          holder.entries[index][0],
          draws.once(2) ? values[index] : replacement(values[index], draws),
        ]);
      else holder.items.push(values[index]);
      break;
    }
    case 2: {
      if (holder.kind === 'object')
        holder.entries[index][0] = draws.once(2) ? draws.pick(KEYS) : draws.pick(holder.entries)[0];
      break;
    }
    case 3: {
      if (holder.kind === 'object') holder.entries.push([draws.pick(KEYS), replacement(values[index], draws)]);
      break;
    }
    case 4: {
      const other = draws.below(values.length);
      const [mine, its] = [values[index], values[other]];
      put(holder, index, its);
      put(holder, other, mine);
      break;
    }
    case 5: {
      const from = somewhere(root, draws);
      if (from.holder !== null) put(holder, index, structuredClone(childrenOf(from.holder)[from.index]));
      break;
    }
    case 6: {
      if (holder.kind === 'array') holder.items.length = draws.below(holder.items.length);
      else holder.entries.length = draws.below(holder.entries.length);
      break;
    }
    default:
      put(holder, index, replacement(values[index], draws));
  }
  return root;
}

type Holder = Exclude<Tree, { kind: 'scalar' }>;

const childrenOf = (tree: Tree): readonly Tree[] =>
  tree.kind === 'array' ? tree.items : tree.kind === 'object' ? tree.entries.map(([, value]) => value) : [];

function put(holder: Holder, index: number, value: Tree): void {
  if (holder.kind === 'array') holder.items[index] = value;
  else holder.entries[index][1] = value;
}

function remove(holder: Holder, index: number): void {
  if (holder.kind === 'array') holder.items.splice(index, 1);
  else holder.entries.splice(index, 1);
}

/** A value that lies in something: the way down is drawn, so that a long list counts no more than a short one. */
function somewhere(root: Tree, draws: Draws): { holder: Holder; index: number } | { holder: null; index: 0 } {
  let place: { holder: Holder; index: number } | null = null;
  for (let tree = root; ;) {
    const children = childrenOf(tree);
    if (tree.kind === 'scalar' || children.length === 0 || (place && draws.once(4))) break;
    place = { holder: tree, index: draws.below(children.length) };
    tree = children[place.index];
  }
  return place ?? { holder: null, index: 0 };
}

function replacement(value: Tree, draws: Draws): Tree {
  switch (draws.below(10)) {
    case 0:
      return { kind: 'array', items: [value] };
    case 1:
      return { kind: 'object', entries: [[draws.pick(KEYS), value]] };
    case 2:
      return draws.once(2) ? { kind: 'array', items: [] } : { kind: 'object', entries: [] };
    case 3: {
      if (!draws.once(8)) return scalar(draws.pick(SCALARS));
      const [open, close] = draws.pick([
        ['[', ']'],
        ['{"a":', '}'],
      ]);
      return scalar(`${open.repeat(DEEP)}0${close.repeat(DEEP)}`);
    }
    case 4:
      return draws.once(4) ? scalar(JSON.stringify('x'.repeat(100_000))) : scalar(JSON.stringify(draws.pick(KEYS)));
    case 5:
      return scalar(draws.pick(SCALARS));
    default:
      return value.kind === 'scalar' ? scalar(nearby(value.text, draws)) : scalar(draws.pick(SCALARS));
  }
}

/** A number near this one, or a string that differs a little. */
function nearby(text: string, draws: Draws): string {
  const value: unknown = JSON.parse(text === 'NaN' || /e999|Infinity/.test(text) || text.length > 1000 ? '0' : text);
  if (typeof value === 'number') {
    return String(
      draws.pick([
        value + 1,
        value - 1,
        value * 2,
        value / 2,
        -value,
        value * 1000,
        value + 0.5,
        8 * Math.round(value / 8) + 8,
      ]),
    );
  }
  if (typeof value !== 'string') return text;
  const at = draws.below(value.length + 1);
  const part = draws.pick(['', 'a', ' ', '\u2581', '\u0000', '\ud83d', '<0x41>', '\u00e9', '.', value]);
  return JSON.stringify(value.slice(0, at) + part + value.slice(at + draws.below(3)));
}
