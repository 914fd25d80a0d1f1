import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { Figure, type FigureSpec } from '../../src/plots/index.js';

/** What the tests read of a spec; Plotly has far more. */
export interface Trace {
  type: string;
  name?: string;
  x?: (number | null)[];
  y?: (number | null)[];
  z?: number[][];
  customdata?: unknown[];
  showlegend?: boolean;
  marker?: { color?: string | string[] };
  [key: string]: unknown;
}
export interface Axis {
  title?: { text: string };
  tickvals?: number[];
  ticktext?: string[];
  range?: [number, number];
  type?: string;
  domain?: [number, number];
  [key: string]: unknown;
}
export interface Layout {
  title: { text: string; subtitle?: { text: string } };
  xaxis: Axis;
  yaxis: Axis;
  annotations?: { text: string; [key: string]: unknown }[];
  shapes?: { [key: string]: unknown }[];
  coloraxis?: { cmin: number; cmax: number; colorscale: [number, string][] };
  coloraxis2?: { cmin: number; cmax: number; colorscale: [number, string][] };
  [key: string]: unknown;
}

/** The spec as it comes out of a notebook's file. */
export function specOf(figure: Figure): { data: Trace[]; layout: Layout; size: number } {
  const json = JSON.stringify(figure);
  const { data, layout } = JSON.parse(json) as { data: Trace[]; layout: Layout };
  return { data, layout, size: json.length };
}

/** What holds for every figure. */
export function checkFigure(figure: Figure, mostCharacters: number): void {
  assert.ok(figure instanceof Figure);
  const { data, layout, size } = specOf(figure);
  assert.ok(data.length > 0);
  assert.ok(layout.title.text.replace(/<[^>]*>/g, '').length > 5, 'a title');
  assert.ok(size <= mostCharacters, `${size} characters, at most ${mostCharacters}`);
  everyNumber(figure.toJSON(), (value, path) => assert.ok(Number.isFinite(value), `${path} is ${value}`));
  for (const [name, axis] of Object.entries(layout).filter(([key]) => /^[xy]axis/.test(key)) as [string, Axis][]) {
    assert.equal(axis.tickvals?.length, axis.ticktext?.length, `${name}: as many labels as ticks`);
  }
}

function everyNumber(value: unknown, check: (value: number, path: string) => void, path = 'spec'): void {
  if (typeof value === 'number') check(value, path);
  else if (typeof value === 'object' && value !== null) {
    for (const [key, part] of Object.entries(value)) everyNumber(part, check, `${path}.${key}`);
  }
}

/** Compares with the stored spec; `UPDATE_SNAPSHOTS=1` stores it anew: look at the picture before committing it. */
export function checkSnapshot(name: string, figure: Figure): void {
  const file = new URL(`snapshots/${name}.json`, import.meta.url);
  const spec = JSON.parse(JSON.stringify(figure)) as FigureSpec;
  if (process.env.UPDATE_SNAPSHOTS) writeFileSync(file, `${JSON.stringify(spec, null, 1)}\n`);
  assert.ok(existsSync(file), `no snapshot ${name}: run with UPDATE_SNAPSHOTS=1`);
  assert.deepEqual(spec, JSON.parse(readFileSync(file, 'utf8')));
}

/** Numbers that look random and are the same on every run. */
export function noise(length: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** A causal attention pattern [tokens, tokens]: rows add up to 1. */
export function causalPattern(tokens: number, seed: number): Float32Array {
  const weights = noise(tokens * tokens, seed).map((value) => Math.exp(2 * value));
  for (let query = 0; query < tokens; query++) {
    const row = weights.subarray(query * tokens, (query + 1) * tokens).fill(0, query + 1);
    const sum = row.reduce((total, weight) => total + weight, 0);
    row.forEach((weight, key) => (row[key] = weight / sum));
  }
  return weights;
}
