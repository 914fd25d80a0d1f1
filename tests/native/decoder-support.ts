import type { Mode } from '../../src/matrix/storage.js';
import { layerHook, type HookName, type LayerPoint } from '../../src/layers/hook-names.js';
import { cacheTypeOf, makePage, roundRows, writeRow } from '../../src/native/cache-pages.js';
import {
  PAGE_POSITIONS,
  type CachePage,
  type CacheType,
  type NativeAddon,
  type NativeDecoderSpec,
  type NativeLinear,
  type NativeSequence,
  type Past,
} from '../../src/native/native.js';
import { denseMatrix, floats, packedMatrix, randoms } from './support.js';

/** A small decoder with packed and dense layers, biases, and sizes that fit no vector. */
export function makeSpec(from: number, packed: boolean, mode: Mode = 'exact'): NativeDecoderSpec {
  const random = randoms(from);
  const [dModel, heads, kvHeads, dHead, dFf, vocabSize, contextLength] = [44, 4, 2, 10, 70, 53, 200];
  const linear = (outFeatures: number, inFeatures: number, bias = false): NativeLinear => ({
    weight: packed
      ? packedMatrix({ outFeatures, inFeatures, groupSize: 32, rule: 'zeros', half: true }, random)
      : denseMatrix('f16', outFeatures, inFeatures, random),
    bias: bias ? floats(outFeatures, random) : null,
  });
  const width = heads * dHead;
  const angles = floats((contextLength * dHead) / 2, random).map((value) => value * 3);
  return {
    dModel,
    heads,
    kvHeads,
    dHead,
    dFf,
    vocabSize,
    contextLength,
    rmsNormEps: 1e-5,
    attentionScale: 1 / Math.sqrt(dHead),
    mode,
    embedding: denseMatrix('bf16', vocabSize, dModel, random),
    layers: [0, 1].map(() => ({
      inputNorm: floats(dModel, random),
      q: linear(width, dModel, true),
      k: linear(kvHeads * dHead, dModel, true),
      v: linear(kvHeads * dHead, dModel),
      o: linear(dModel, width),
      postAttentionNorm: floats(dModel, random),
      gate: linear(dFf, dModel),
      up: linear(dFf, dModel),
      down: linear(dModel, dFf, true),
    })),
    finalNorm: floats(dModel, random),
    lmHead: { weight: denseMatrix('f16', vocabSize, dModel, random), bias: null },
    cos: angles.map(Math.cos),
    sin: angles.map(Math.sin),
  };
}

const pageSizes = ({ layers, kvHeads, dHead }: NativeDecoderSpec) => ({ layers: layers.length, kvHeads, dHead });

/** Empty pages with room for `positions`. */
export const makePages = (spec: NativeDecoderSpec, positions: number, type: CacheType = 'f32'): CachePage[] =>
  Array.from({ length: Math.ceil(positions / PAGE_POSITIONS) }, () => makePage(type, pageSizes(spec)));

/** The forward pass by the single kernels: logits of all positions, and every named point. Pages are written. */
export function composed(native: NativeAddon, spec: NativeDecoderSpec, ids: Int32Array, pos: number, sequences: NativeSequence[]) {
  const batch = sequences.length;
  const rows = batch * pos;
  const type = cacheTypeOf(sequences[0].pages[0]);
  const points = new Map<HookName, Float32Array>();
  const positions = Int32Array.from({ length: rows }, (_, row) => sequences[Math.floor(row / pos)].length + (row % pos));
  const make = (count: number, fill: (to: Float32Array) => void): Float32Array => {
    const values = new Float32Array(count);
    fill(values);
    return values;
  };
  const norm = (x: Float32Array, gain: Float32Array, tell: (part: 'scale' | 'normalized', values: Float32Array) => void) => {
    const scale = make(rows, (to) => native.rmsNormScale(x, rows, spec.rmsNormEps, to));
    tell('scale', scale);
    tell('normalized', make(x.length, (to) => native.divideRows(x, scale, to)));
    return make(x.length, (to) => native.rmsNorm(x, rows, gain, spec.rmsNormEps, to));
  };
  const multiply = ({ weight, bias }: NativeLinear, x: Float32Array) =>
    make(rows * weight.outFeatures, (to) => {
      native.matmul(x, rows, weight, bias, spec.mode, to);
    });
  const sum = (a: Float32Array, b: Float32Array) => make(a.length, (to) => native.add(a, b, to));

  let x = make(rows * spec.dModel, (to) => native.embedding(ids, spec.embedding, to));
  points.set('hook_embed', x);
  spec.layers.forEach((layer, index) => {
    const tell = (point: LayerPoint, values: Float32Array) => {
      points.set(layerHook(index, point), values);
      return values;
    };
    const linear = (weights: NativeLinear, name: 'attn.q_proj' | 'attn.k_proj' | 'attn.v_proj' | 'attn.o_proj' | 'mlp.gate_proj' | 'mlp.up_proj' | 'mlp.down_proj', input: Float32Array) =>
      tell(`${name}.hook_out`, multiply(weights, tell(`${name}.hook_in`, input)));
    const rotate = (values: Float32Array, heads: number) =>
      make(values.length, (to) => native.rope(values, heads, spec.dHead, positions, spec.cos, spec.sin, 1, to));

    tell('hook_resid_pre', x);
    const attnIn = norm(x, layer.inputNorm, (part, values) => tell(`ln1.hook_${part}`, values));
    const q = tell('attn.hook_q', linear(layer.q, 'attn.q_proj', attnIn));
    const k = tell('attn.hook_k', linear(layer.k, 'attn.k_proj', attnIn));
    const v = tell('attn.hook_v', linear(layer.v, 'attn.v_proj', attnIn));
    const rotQ = tell('attn.hook_rot_q', rotate(q, spec.heads));
    const rotK = tell('attn.hook_rot_k', rotate(k, spec.kvHeads));
    const { heads, kvHeads, dHead } = spec;
    const sizes = { batch, pos, heads, kvHeads, dHead, layers: spec.layers.length };
    const past: Past = sequences.map((sequence) => ({ ...sequence, layer: index }));
    const keys = pos + Math.max(...sequences.map(({ length }) => length));
    const asKept = (x: Float32Array) => make(x.length, (to) => roundRows(type, x, dHead, to));
    const [keptK, keptV] = [asKept(rotK), asKept(v)];
    const scores = make(batch * heads * pos * keys, (to) => native.attentionScores(rotQ, keptK, sizes, past, spec.attentionScale, to));
    tell('attn.hook_attn_scores', scores);
    tell('attn.hook_pattern', make(scores.length, (to) => native.softmax(scores, keys, to)));
    const z = tell('attn.hook_z', make(q.length, (to) => native.attention(rotQ, keptK, keptV, sizes, past, spec.attentionScale, to)));
    keep(spec, sequences, pos, index, rotK, v);
    const attnOut = tell('hook_attn_out', linear(layer.o, 'attn.o_proj', z));
    const mid = tell('hook_resid_mid', sum(x, attnOut));
    const mlpIn = norm(mid, layer.postAttentionNorm, (part, values) => tell(`ln2.hook_${part}`, values));
    const gate = tell('mlp.hook_pre', linear(layer.gate, 'mlp.gate_proj', mlpIn));
    const up = tell('mlp.hook_pre_linear', linear(layer.up, 'mlp.up_proj', mlpIn));
    const post = tell('mlp.hook_post', make(gate.length, (to) => native.swiglu(gate, up, to)));
    const mlpOut = tell('hook_mlp_out', linear(layer.down, 'mlp.down_proj', post));
    x = tell('hook_resid_post', sum(mid, mlpOut));
  });
  const last = norm(x, spec.finalNorm, (part, values) => points.set(`ln_final.hook_${part}`, values));
  points.set('unembed.hook_in', last);
  const logits = multiply(spec.lmHead, last);
  points.set('unembed.hook_out', logits);
  return { logits, points };
}

/** Writes keys and values [batch, pos, kv_head, d_head] into the pages. */
function keep(spec: NativeDecoderSpec, sequences: NativeSequence[], pos: number, layer: number, keys: Float32Array, values: Float32Array) {
  const { kvHeads, dHead } = spec;
  sequences.forEach(({ pages, length }, b) => {
    for (let t = 0; t < pos; t++) {
      const page = pages[Math.floor((length + t) / PAGE_POSITIONS)];
      for (let kvHead = 0; kvHead < kvHeads; kvHead++) {
        const start = ((b * pos + t) * kvHeads + kvHead) * dHead;
        const place = { layer, kvHead, slot: (length + t) % PAGE_POSITIONS };
        writeRow(page, pageSizes(spec), { ...place, kind: 0 }, keys.subarray(start, start + dHead));
        writeRow(page, pageSizes(spec), { ...place, kind: 1 }, values.subarray(start, start + dHead));
      }
    }
  });
}
