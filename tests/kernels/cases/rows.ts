import fc from 'fast-check';
import { add, addReference } from '../../../src/kernels/add.js';
import { divideRows, divideRowsReference } from '../../../src/kernels/divide-rows.js';
import { lastRows } from '../../../src/kernels/last-rows.js';
import { roundToCache } from '../../../src/kernels/round-to-cache.js';
import { CACHE_TYPES } from '../../../src/native/cache-pages.js';
import { multiplyColumns, multiplyColumnsReference } from '../../../src/kernels/multiply-columns.js';
import { reshape } from '../../../src/kernels/reshape.js';
import { rmsNormScale, rmsNormScaleReference } from '../../../src/kernels/rms-norm-scale.js';
import { rmsNorm, rmsNormGradientReference, rmsNormReference } from '../../../src/kernels/rms-norm.js';
import { rope, ropeReference } from '../../../src/kernels/rope.js';
import { softmax, softmaxGradientReference, softmaxReference } from '../../../src/kernels/softmax.js';
import { swiglu, swigluGradientReference, swigluReference } from '../../../src/kernels/swiglu.js';
import { softmaxOf, type Floats } from '../../native/attention-support.js';
import { floats, oddSize } from '../../native/support.js';
import { cases, operand, rowsShape, sizeOf, type KernelCases } from './case.js';

const addCases = cases(
  add.name,
  rowsShape.map((shape) => (random, by) => {
    const [a, b] = [operand(shape, random, by), operand(shape, random, 0)];
    return {
      kernel: add.name,
      inputs: { a, b },
      attributes: {},
      shape,
      define: (values) => Float64Array.from(values.a, (value, i) => value + values.b[i]),
      size: (i) => Math.abs(a.values[i]) + Math.abs(b.values[i]),
      reference: (y) => addReference(a.values, b.values, y),
    };
  }),
);

const multiplyColumnsCases = cases(
  multiplyColumns.name,
  rowsShape.map((shape) => (random, by) => {
    const d = shape[shape.length - 1];
    const x = operand(shape, random, by);
    const gain = floats(d, random, by);
    return {
      kernel: multiplyColumns.name,
      inputs: { x },
      attributes: { gain },
      shape,
      define: (values) => Float64Array.from(values.x, (value, i) => value * gain[i % d]),
      size: (i) => Math.abs(x.values[i] * gain[i % d]),
      reference: (y) => multiplyColumnsReference(x.values, gain, y),
    };
  }),
);

const divideRowsCases = cases(
  divideRows.name,
  rowsShape.map((shape) => (random, by) => {
    const d = shape[shape.length - 1];
    const x = operand(shape, random, by);
    const scaleShape = [...shape.slice(0, -1), 1];
    const scale = { values: floats(sizeOf(scaleShape), random, by), shape: scaleShape };
    scale.values.forEach((value, r) => (scale.values[r] = 1.5 + value));
    return {
      kernel: divideRows.name,
      inputs: { x, scale },
      attributes: {},
      shape,
      define: (values) => Float64Array.from(values.x, (value, i) => value / values.scale[Math.floor(i / d)]),
      size: (i) => Math.abs(x.values[i]) / scale.values[Math.floor(i / d)],
      reference: (y) => divideRowsReference(x.values, scale.values, y),
    };
  }),
);

/** √(mean_k x[r, k]² + eps) */
function normScales(x: Floats, d: number, eps: number): Float64Array {
  return Float64Array.from({ length: x.length / d }, (_, r) => {
    let squares = 0;
    for (let k = 0; k < d; k++) squares += x[r * d + k] * x[r * d + k];
    return Math.sqrt(squares / d + eps);
  });
}

const eps = fc.constantFrom(1e-5, 1e-2, 0.5);

const rmsNormScaleCases = cases(
  rmsNormScale.name,
  fc.tuple(rowsShape, eps).map(([shape, by]) => (random, from) => {
    const d = shape[shape.length - 1];
    const x = operand(shape, random, from);
    return {
      kernel: rmsNormScale.name,
      inputs: { x },
      attributes: { eps: by },
      shape: [...shape.slice(0, -1), 1],
      define: (values) => normScales(values.x, d, by),
      size: (r) => normScales(x.values, d, by)[r],
      reference: (scale) => rmsNormScaleReference(x.values, x.values.length / d, by, scale),
    };
  }),
);

const rmsNormCases = cases(
  rmsNorm.name,
  fc.tuple(rowsShape, eps).map(([shape, by]) => (random, from) => {
    const d = shape[shape.length - 1];
    const x = operand(shape, random, from);
    const gain = floats(d, random, from);
    const rows = x.values.length / d;
    const scales = normScales(x.values, d, by);
    return {
      kernel: rmsNorm.name,
      inputs: { x },
      attributes: { gain, eps: by },
      shape,
      define: (values) => {
        const divisors = normScales(values.x, d, by);
        return Float64Array.from(values.x, (value, i) => (value / divisors[Math.floor(i / d)]) * gain[i % d]);
      },
      size: (i) => Math.abs((x.values[i] / scales[Math.floor(i / d)]) * gain[i % d]),
      reference: (y) => rmsNormReference(x.values, rows, gain, by, y),
      referenceGradient: (dy) => {
        const dx = new Float32Array(x.values.length);
        rmsNormGradientReference(x.values, rows, gain, by, dy, dx);
        return { x: dx };
      },
    };
  }),
);

const ropeCases = cases(
  rope.name,
  fc
    .record({
      batch: fc.integer({ min: 1, max: 3 }),
      pos: fc.integer({ min: 1, max: 5 }),
      heads: fc.integer({ min: 1, max: 3 }),
      half: oddSize(40),
      sign: fc.constantFrom<1 | -1>(1, -1),
    })
    .map(({ batch, pos, heads, half, sign }) => (random, by) => {
      const dHead = 2 * half;
      const shape = [batch, pos, heads, dHead];
      const x = operand(shape, random, by);
      const angles = floats(9 * half, random).map((angle) => 10 * angle);
      const table = { cos: angles.map(Math.cos), sin: angles.map(Math.sin), positions: 9 };
      const positions = Int32Array.from({ length: batch * pos }, () => Math.floor(random() * 9));
      return {
        kernel: rope.name,
        inputs: { x },
        attributes: { positions, table, sign },
        shape,
        define: (values) =>
          Float64Array.from(values.x, (value, i) => {
            const place = i % dHead;
            const at = positions[Math.floor(i / (heads * dHead))] * half + (place % half);
            const [cos, sin] = [table.cos[at], sign * table.sin[at]];
            return place < half ? value * cos - values.x[i + half] * sin : value * cos + values.x[i - half] * sin;
          }),
        size: () => 2,
        reference: (y) => ropeReference(x.values, heads, dHead, positions, table.cos, table.sin, sign, y),
      };
    }),
);

const softmaxCases = cases(
  softmax.name,
  fc.tuple(rowsShape, fc.constantFrom(1, 10), fc.boolean()).map(([shape, range, masked]) => (random, by) => {
    const columns = shape[shape.length - 1];
    const x = operand(shape, random, by);
    x.values.forEach((value, i) => (x.values[i] = masked && value < -0.8 ? -Infinity : value * range));
    const y = softmaxOf(x.values, columns);
    return {
      kernel: softmax.name,
      inputs: { x },
      attributes: {},
      shape,
      define: (values) => softmaxOf(values.x, columns),
      size: (i) => y[i],
      reference: (to) => softmaxReference(x.values, columns, to),
      referenceGradient: (dy) => {
        const [forward, dx] = [new Float32Array(y.length), new Float32Array(y.length)];
        softmaxReference(x.values, columns, forward);
        softmaxGradientReference(forward, columns, dy, dx);
        return { x: dx };
      },
    };
  }),
);

const swigluCases = cases(
  swiglu.name,
  fc.tuple(rowsShape, fc.constantFrom(1, 10, 100)).map(([shape, range]) => (random, by) => {
    const [gate, up] = [operand(shape, random, by), operand(shape, random, by)];
    gate.values.forEach((value, i) => (gate.values[i] = value * range));
    return {
      kernel: swiglu.name,
      inputs: { gate, up },
      attributes: {},
      shape,
      define: (values) => Float64Array.from(values.gate, (value, i) => (value / (1 + Math.exp(-value))) * values.up[i]),
      size: (i) => Math.abs(gate.values[i] * up.values[i]),
      reference: (y) => swigluReference(gate.values, up.values, y),
      referenceGradient: (dy) => {
        const [dgate, dup] = [new Float32Array(dy.length), new Float32Array(dy.length)];
        swigluGradientReference(gate.values, up.values, dy, dgate, dup);
        return { gate: dgate, up: dup };
      },
    };
  }),
);

/** Rounding has no gradient, and its error is relative to the greatest of a row. */
const ROUNDING_BOUND = { f32: 0, f16: 2 ** -11, int8: 1 / 253 };

/** Its equation is the identity, as far as the cache's type goes: `size` brings the bound to that of the tests, 1e-5. */
export const ROUND_CASES = cases(
  roundToCache.name,
  fc
    .record({ shape: rowsShape, type: fc.constantFrom(...CACHE_TYPES) })
    .map(({ shape, type }) => (random, by) => {
      const x = operand(shape, random, by);
      return {
        kernel: roundToCache.name,
        inputs: { x },
        attributes: { type },
        shape,
        define: (values) => Float64Array.from(values.x),
        size: () => ROUNDING_BOUND[type] / 1e-5,
      };
    }),
);

const lastRowsCases = cases(
  lastRows.name,
  fc
    .record({ batch: fc.integer({ min: 1, max: 4 }), pos: fc.integer({ min: 1, max: 5 }), d: oddSize(70) })
    .map(({ batch, pos, d }) => (random, by) => {
      const x = operand([batch, pos, d], random, by);
      const at = (i: number) => (Math.floor(i / d) * pos + pos - 1) * d + (i % d);
      return {
        kernel: lastRows.name,
        inputs: { x },
        attributes: {},
        shape: [batch, 1, d],
        define: (values) => Float64Array.from({ length: batch * d }, (_, i) => values.x[at(i)]),
        size: () => 0,
      };
    }),
);

const reshapeCases = cases(
  reshape.name,
  rowsShape.map((shape) => (random, by) => {
    const x = operand(shape, random, by);
    const flat = [1, x.values.length];
    return {
      kernel: reshape.name,
      inputs: { x },
      attributes: { shape: flat },
      shape: flat,
      define: (values) => Float64Array.from(values.x),
      size: () => 0,
    };
  }),
);

export const ROW_CASES: readonly KernelCases[] = [
  addCases,
  multiplyColumnsCases,
  divideRowsCases,
  rmsNormScaleCases,
  rmsNormCases,
  ropeCases,
  softmaxCases,
  swigluCases,
  lastRowsCases,
  reshapeCases,
];
