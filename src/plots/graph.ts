import { OptionError, ShapeError } from '../base/errors.js';
import { figureOf, type Figure, type FigureOptions } from './figure.js';
import { CATEGORICAL, FONT } from './theme.js';
import { plainText } from './token-text.js';

/** One kernel call of a forward pass, as `model.graph()` records them. */
export interface GraphNodeLike {
  readonly kernel: string;
  /** Where each input comes from: an earlier node, or −1 for the token ids. */
  readonly inputs: Readonly<Record<string, number>>;
  readonly weights: readonly string[];
  readonly shape: readonly number[];
  /** The named points at which the node's output can be seen. */
  readonly hooks: readonly string[];
}

/** What `plotGraph` draws. */
export interface GraphInput {
  readonly nodes: readonly GraphNodeLike[];
  /** Draws only nodes with a named point that begins so, such as "blocks.2."; default: all. */
  readonly prefix?: string;
}

interface Part {
  readonly name: string;
  readonly color: string;
  readonly holds: (node: GraphNodeLike) => boolean;
}

/** A node to draw: a kernel call, and the reshapes of its output. */
interface Box {
  readonly title: string;
  readonly kernel: string;
  readonly part: Part;
  /** Boxes that it reads. */
  readonly from: readonly Box[];
  readonly level: number;
  readonly hooks: string[];
  shape: readonly number[];
  x: number;
}

/** Parts of a model, the first that holds; colours as in `plotErrorOverDepth`. */
const PARTS: readonly Part[] = [
  { name: 'residual stream', color: CATEGORICAL[0], holds: hooked(/hook_(embed|resid_\w+)$/) },
  { name: 'norms', color: CATEGORICAL[4], holds: ({ kernel }) => /RMSNorm|DivideRows|MultiplyColumns/.test(kernel) },
  { name: 'attention', color: CATEGORICAL[1], holds: hooked(/\battn\./) },
  { name: 'MLP', color: CATEGORICAL[2], holds: hooked(/\bmlp\./) },
  { name: 'logits', color: CATEGORICAL[6], holds: () => true },
];

function hooked(pattern: RegExp): Part['holds'] {
  return ({ hooks }) => hooks.some((hook) => pattern.test(hook));
}

/** Pixels: a box, and from one to the next. */
const SIZE = { box: 172, boxHeight: 34, column: 192, level: 62, above: 98, below: 12 };
/** Half a box, in levels. */
const HALF = SIZE.boxHeight / 2 / SIZE.level;
const MOST_BOXES = 200;

/**
 * A pass, or a part of it, as a diagram from top to bottom: in each box a weight's or kernel's name and the shape of
 * what comes out, the residual stream as a trunk at the left, the named points under the pointer. Reshapes are drawn as
 * part of what they reshape. Throws ShapeError where there is nothing to draw, or too much, and OptionError for an input
 * that is no earlier node.
 */
export function plotGraph({ nodes, prefix = '' }: GraphInput, { title }: FigureOptions = {}): Figure {
  const boxes = boxesOf(nodes, prefix);
  const levels = Math.max(...boxes.map(({ level }) => level)) + 1;
  const columns = Math.max(...boxes.map(({ x }) => x)) + 1;
  const parts = PARTS.map((part) => ({ ...part, boxes: boxes.filter((box) => box.part === part) }));
  return figureOf({
    title: title ?? `The forward pass as data: ${boxes.length} ops`,
    subtitle: 'from top to bottom; in each box the shape of what comes out of it',
    data: parts
      .filter((part) => part.boxes.length > 0)
      .map(({ name, color, boxes: ofPart }) => ({
        type: 'scatter',
        mode: 'markers',
        name,
        x: ofPart.map(({ x }) => x),
        y: ofPart.map(({ level }) => level),
        hoverinfo: 'skip',
        marker: { symbol: 'square', color, size: 11 },
      })),
    layout: {
      xaxis: { visible: false, range: [-0.5, columns - 0.5], fixedrange: true },
      yaxis: { visible: false, range: [levels - 0.5, -0.5], fixedrange: true },
      shapes: boxes.flatMap((box) => box.from.map((from) => edge(from, box))),
      annotations: boxes.map(annotation),
    },
    width: Math.round(columns * SIZE.column) + 32,
    height: levels * SIZE.level + SIZE.above + SIZE.below,
    margin: { l: 16, r: 16, b: SIZE.below },
    legend: true,
  });
}

/** The boxes in the order of the pass, each at its place. */
function boxesOf(nodes: readonly GraphNodeLike[], prefix: string): Box[] {
  const boxOf = new Map<number, Box>();
  for (const [index, node] of nodes.entries()) {
    const hooks = node.hooks.filter((hook) => hook.startsWith(prefix));
    if (prefix !== '' && hooks.length === 0) continue;
    const sources = Object.values(node.inputs);
    const bad = sources.find((source) => !Number.isInteger(source) || source < -1 || source >= index);
    if (bad !== undefined) {
      const expected = `−1 to ${index - 1}`;
      throw new OptionError({ thing: 'input', found: bad, expected, where: `plotGraph, node ${index}` });
    }
    const from = [...new Set(sources.flatMap((source) => boxOf.get(source) ?? []))];
    const points = hooks.map((hook) => hook.slice(prefix.length));
    if (node.kernel.endsWith('Reshape') && from.length === 1) {
      from[0].shape = node.shape;
      from[0].hooks.push(...points);
      boxOf.set(index, from[0]);
      continue;
    }
    const kernel = node.kernel.replace(/^Nibble/, '');
    boxOf.set(index, {
      title: node.weights[0]?.replace(/\.weight$/, '').replace(/^.*\./, '') ?? kernel,
      kernel,
      part: PARTS.find(({ holds }) => holds(node)) ?? PARTS[0],
      from,
      level: Math.max(-1, ...from.map(({ level }) => level)) + 1,
      hooks: points,
      shape: node.shape,
      x: 0,
    });
  }
  const boxes = [...new Set(boxOf.values())];
  if (boxes.length === 0 || boxes.length > MOST_BOXES) {
    const expected = `1 to ${MOST_BOXES}`;
    throw new ShapeError({ thing: 'ops to draw', found: boxes.length, expected, where: 'plotGraph' });
  }
  for (const box of boxes) if (!isTrunk(box)) box.x = placeOf(box, boxes);
  return boxes;
}

const isTrunk = ({ part }: Box): boolean => part === PARTS[0];

/** Below what it reads, beside others that read the same; what reads the trunk alone stands two columns off it. */
function placeOf(box: Box, boxes: readonly Box[]): number {
  const parents = box.from.filter((from) => !isTrunk(from));
  const middle = parents.length === 0 ? 2 : parents.reduce((sum, { x }) => sum + x, 0) / parents.length;
  const siblings = boxes
    .filter((other) => !isTrunk(other) && other.from.length === box.from.length)
    .filter(({ from }) => from.every((one) => box.from.includes(one)));
  return Math.max(1, middle + siblings.indexOf(box) - (siblings.length - 1) / 2);
}

/** Straight down beside what lies between, then over to the box below. */
function edge(from: Box, to: Box): object {
  const trunk = isTrunk(from) && isTrunk(to);
  const ends = [from.level + HALF, to.level - 1 + HALF, to.level - 0.5, to.level - HALF];
  const [top, turn, middle, bottom] = ends.map((y) => Number(y.toFixed(3)));
  return {
    type: 'path',
    path: `M${from.x},${top}L${from.x},${turn}C${from.x},${middle} ${to.x},${middle} ${to.x},${bottom}`,
    line: trunk ? { color: PARTS[0].color, width: 5 } : { color: '#8A939C', width: 1.25 },
    layer: 'below',
  };
}

function annotation({ title, kernel, part, level, hooks, shape, x }: Box): object {
  const details = [...(title === kernel ? [] : [plainText(kernel)]), shape.join(' × ')].join(' · ');
  return {
    text: `<b>${plainText(title)}</b><br><span style="font-size:10px">${details}</span>`,
    hovertext: hooks.map(plainText).join('<br>') || 'no named point',
    x,
    y: level,
    width: SIZE.box,
    height: SIZE.boxHeight,
    borderpad: 2,
    showarrow: false,
    bgcolor: '#FFFFFF',
    bordercolor: part.color,
    borderwidth: part === PARTS[0] ? 2.5 : 1.5,
    font: { size: 11, color: FONT.color },
  };
}
