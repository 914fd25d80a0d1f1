import { tensor, type Tensor } from '@tensorflow/tfjs-core';
import { layerHook, type HookName, type LayerPoint } from '../../src/layers/hook-names.js';
import { rotaryTable } from '../../src/layers/rotary-table.js';
import type { ActivationCache } from '../../src/lens/activations.js';
import type { LinearName, LlamaWeights } from '../../src/model/weights.js';
import * as ops from '../../src/ops/index.js';

/** What a point's values must be, from those of the points before it. */
export interface Equation {
  readonly point: HookName;
  value(activations: ActivationCache): Float32Array;
}

/** The forward pass as one equation for each named point but the first: written apart from the layers. */
export function equations(weights: LlamaWeights, batch: number, pos: number): Equation[] {
  const { config } = weights;
  const table = rotaryTable(config.rope, config.headDim, config.maxPositionEmbeddings);
  const positions = Int32Array.from({ length: batch * pos }, (_, row) => row % pos);
  const scale = 1 / Math.sqrt(config.headDim);
  const all: Equation[] = [];
  const say = (point: HookName, from: readonly HookName[], f: (...inputs: Tensor[]) => Tensor) => {
    all.push({
      point,
      value: (activations) =>
        ops.tidyValues(() => {
          return f(
            ...from.map((name) => tensor(activations.get(name).values, [...activations.get(name).shape], 'float32')),
          );
        }),
    });
  };
  const same = (x: Tensor): Tensor => ops.reshape(x, x.shape);

  weights.layers.forEach((w, layer) => {
    const at = (point: LayerPoint) => layerHook(layer, point);
    const linear = (name: LinearName) => (x: Tensor) => ops.matmul(x, w[name].weight, w[name].bias);
    const gainOf = (gain: Float32Array) => (x: Tensor) => ops.multiplyColumns(x, gain);

    if (layer === 0) say(at('hook_resid_pre'), ['hook_embed'], same);
    else say(at('hook_resid_pre'), [layerHook(layer - 1, 'hook_resid_post')], same);
    say(at('ln1.hook_scale'), [at('hook_resid_pre')], (x) => ops.rmsNormScale(x, config.rmsNormEps));
    say(at('ln1.hook_normalized'), [at('hook_resid_pre'), at('ln1.hook_scale')], ops.divideRows);
    for (const name of ['q_proj', 'k_proj', 'v_proj'] as const) {
      say(at(`attn.${name}.hook_in`), [at('ln1.hook_normalized')], gainOf(w.input_layernorm));
      say(at(`attn.${name}.hook_out`), [at(`attn.${name}.hook_in`)], linear(name));
    }
    say(at('attn.hook_q'), [at('attn.q_proj.hook_out')], same);
    say(at('attn.hook_k'), [at('attn.k_proj.hook_out')], same);
    say(at('attn.hook_v'), [at('attn.v_proj.hook_out')], same);
    say(at('attn.hook_rot_q'), [at('attn.hook_q')], (x) => ops.rope(x, positions, table));
    say(at('attn.hook_rot_k'), [at('attn.hook_k')], (x) => ops.rope(x, positions, table));
    say(at('attn.hook_attn_scores'), [at('attn.hook_rot_q'), at('attn.hook_rot_k')], (q, k) =>
      ops.attentionScores(q, k, { scale }),
    );
    say(at('attn.hook_pattern'), [at('attn.hook_attn_scores')], ops.softmax);
    say(at('attn.hook_z'), [at('attn.hook_pattern'), at('attn.hook_v')], (pattern, v) => ops.attentionMix(pattern, v));
    say(at('attn.o_proj.hook_in'), [at('attn.hook_z')], same);
    say(at('attn.o_proj.hook_out'), [at('attn.o_proj.hook_in')], linear('o_proj'));
    say(at('hook_attn_out'), [at('attn.o_proj.hook_out')], same);
    say(at('hook_resid_mid'), [at('hook_resid_pre'), at('hook_attn_out')], ops.add);
    say(at('ln2.hook_scale'), [at('hook_resid_mid')], (x) => ops.rmsNormScale(x, config.rmsNormEps));
    say(at('ln2.hook_normalized'), [at('hook_resid_mid'), at('ln2.hook_scale')], ops.divideRows);
    for (const name of ['gate_proj', 'up_proj'] as const) {
      say(at(`mlp.${name}.hook_in`), [at('ln2.hook_normalized')], gainOf(w.post_attention_layernorm));
      say(at(`mlp.${name}.hook_out`), [at(`mlp.${name}.hook_in`)], linear(name));
    }
    say(at('mlp.hook_pre'), [at('mlp.gate_proj.hook_out')], same);
    say(at('mlp.hook_pre_linear'), [at('mlp.up_proj.hook_out')], same);
    say(at('mlp.hook_post'), [at('mlp.hook_pre'), at('mlp.hook_pre_linear')], ops.swiglu);
    say(at('mlp.down_proj.hook_in'), [at('mlp.hook_post')], same);
    say(at('mlp.down_proj.hook_out'), [at('mlp.down_proj.hook_in')], linear('down_proj'));
    say(at('hook_mlp_out'), [at('mlp.down_proj.hook_out')], same);
    say(at('hook_resid_post'), [at('hook_resid_mid'), at('hook_mlp_out')], ops.add);
  });

  const last = layerHook(weights.layers.length - 1, 'hook_resid_post');
  say('ln_final.hook_scale', [last], (x) => ops.rmsNormScale(x, config.rmsNormEps));
  say('ln_final.hook_normalized', [last, 'ln_final.hook_scale'], ops.divideRows);
  say('unembed.hook_in', ['ln_final.hook_normalized'], (x) => ops.multiplyColumns(x, weights.norm));
  say('unembed.hook_out', ['unembed.hook_in'], (x) => ops.matmul(x, weights.lm_head.weight, weights.lm_head.bias));
  return all;
}
