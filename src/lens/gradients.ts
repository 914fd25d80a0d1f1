import { tensor, tensor2d, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { GradientError, ShapeError } from '../base/errors.js';
import { breather } from '../base/event-loop.js';
import { checkOptionNames } from '../base/options.js';
import { hookNames, type HookName } from '../layers/hook-names.js';
import { tapOfLayer, type PassContext, type Tap } from '../layers/index.js';
import type { LlamaModel } from '../model/llama-model.js';
import type { ModelDecoder } from '../model/model-decoder.js';
import { queued } from '../model/run-queue.js';
import { tensorValues, tidyValues, vectorJacobian, watch } from '../ops/index.js';
import { ActivationCache, type Activation } from './activations.js';
import type { GradientOptions, GradientOutput } from './gradient-options.js';
import type { Metric } from './metrics.js';
import { pointShape } from './point-shapes.js';
import { checkSequences, concatenate, select } from './run-input.js';

const residualStream = (name: HookName): boolean => name.endsWith('.hook_resid_pre') || name === 'unembed.hook_in';

/**
 * The gradients of a metric by what flows through a pass over sequences of equal length [batch][pos]. The pass is
 * composed, in float32, over all positions at once. Only the residual stream before each layer is kept on the way up;
 * on the way back each layer is run again under a tape of its own (Chen et al. 2016, arXiv:1604.06174), in one
 * synchronous call, and the event loop has its turn between layers.
 */
export async function gradients(
  decoder: ModelDecoder,
  sequences: readonly Int32Array[],
  metric: Metric,
  options: GradientOptions = {},
): Promise<GradientOutput> {
  checkOptionNames(options, ['at', 'signal', 'onProgress'], 'option of gradients');
  const { at = residualStream, signal, onProgress } = options;
  if (decoder.mode === 'fast') {
    throw new GradientError({ thing: 'gradients', found: "a model opened in mode 'fast'", expected: "mode 'exact'" });
  }
  const pos = checkSequences(decoder, sequences);
  const { config } = decoder.weights;
  const found = new Map<HookName, Activation>();
  const names = select(at, hookNames(config.numHiddenLayers));
  const tap = gradientTap(new Set(names), (name, values) => {
    found.set(name, { name, shape: pointShape(config, name, sequences.length, pos, pos), values: values.slice() });
  });
  const model = await decoder.composed();
  const { value, logits } = await queued(() => {
    return upAndBack(model, sequences, metric, { tap, vocabSize: config.vocabSize, signal, onProgress });
  });
  return { value, logits, gradients: new ActivationCache(names.flatMap((name) => found.get(name) ?? [])) };
}

/** Leaves every tensor as it is, and tells of the gradients at the points that it wants. */
interface GradientTap extends Tap {
  readonly seen: (name: HookName, gradient: Float32Array) => void;
}

function gradientTap(names: ReadonlySet<HookName>, seen: GradientTap['seen']): GradientTap {
  return {
    seen,
    wants: (name) => names.has(name),
    visit: (name, value) => (names.has(name) ? watch(value, (gradient) => seen(name, gradient)) : value),
  };
}

interface Way {
  readonly tap: GradientTap;
  readonly vocabSize: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

async function upAndBack(
  model: LlamaModel,
  sequences: readonly Int32Array[],
  metric: Metric,
  { tap, vocabSize, signal, onProgress }: Way,
): Promise<{ value: number; logits: Float32Array }> {
  const breathe = breather(signal);
  const [batch, pos] = [sequences.length, sequences[0].length];
  const context = freshContext(batch, pos);
  const steps = 2 * model.layers.length;
  const residuals: Tensor[] = []; // before each layer, then after the last: [batch, pos, d_model]
  let slope: Tensor | null = null; // the metric's gradient by the residual stream reached on the way back
  try {
    residuals.push(tidy(() => model.embed_tokens.forward(tensor2d(concatenate(sequences), [batch, pos], 'int32'))));
    for (const layer of model.layers) {
      await breathe();
      residuals.push(tidy(() => layer.forward(residuals[layer.index], context, null)));
      onProgress?.(layer.index + 1, steps);
    }
    await breathe();
    const last = residuals[model.layers.length];
    const logits = tidyValues(() => model.unembed(last, null));
    const { value, gradient } = metric({ logits, ids: sequences, vocabSize });
    checkGradient(gradient, logits.length);
    await breathe();
    slope = tidy(() => {
      return vectorJacobian((x) => model.unembed(x, tap), last, tensor(gradient, [batch, pos, vocabSize], 'float32'));
    });
    for (const layer of [...model.layers].reverse()) {
      await breathe();
      const below: Tensor = slope;
      slope = tidy(() => {
        const forward = (x: Tensor) => layer.forward(x, context, tapOfLayer(tap, layer.index));
        return vectorJacobian(forward, residuals[layer.index], below);
      });
      below.dispose();
      onProgress?.(steps - layer.index, steps);
    }
    if (tap.wants('hook_embed')) tap.seen('hook_embed', tensorValues(slope));
    return { value, logits };
  } finally {
    for (const residual of residuals) residual.dispose();
    slope?.dispose();
  }
}

/** All positions in one pass, with nothing before them and nothing kept, hence nothing rounded for a cache. */
function freshContext(batch: number, pos: number): PassContext {
  const positions = Int32Array.from({ length: batch * pos }, (_, row) => row % pos);
  return { positions, layers: 1, cache: 'f32', past: () => null, keep: () => {} };
}

function checkGradient(gradient: Float32Array, expected: number): void {
  if (gradient instanceof Float32Array && gradient.length === expected) return;
  throw new ShapeError({
    thing: 'gradient returned by a metric',
    found: gradient instanceof Float32Array ? `${gradient.length} values` : typeof gradient,
    expected: `a Float32Array of ${expected}, the size of the logits`,
  });
}
