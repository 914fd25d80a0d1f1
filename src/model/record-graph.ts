import { tensor2d, type Tensor } from '@tensorflow/tfjs-core';
import { observeKernels, runKernel } from '../kernels/run.js';
import type { HookName } from '../layers/hook-names.js';
import { tidyValues } from '../ops/index.js';
import type { Graph, GraphNode } from './graph.js';
import type { KVCache } from './kv-cache.js';
import type { LlamaModel } from './llama-model.js';
import { queued } from './run-queue.js';
import type { LlamaWeights } from './weights.js';

/**
 * Records one composed pass over fresh caches, with every named point in it: norms and attention are in their parts,
 * which give the bits of the joined kernels. The ids matter only for their number.
 */
export async function recordGraph(
  model: LlamaModel,
  weights: LlamaWeights,
  ids: Int32Array,
  caches: readonly KVCache[],
): Promise<Graph> {
  const names = weightNames(weights);
  const nodes: (Omit<GraphNode, 'hooks'> & { hooks: HookName[] })[] = [];
  const nodeOf = new Map<number, number>(); // tensor id → node
  const pos = ids.length / caches.length;
  await queued(async () => {
    for (const cache of caches) cache.reserve(pos);
    const stop = observeKernels(({ kernel, inputs, attributes, output }) => {
      // what others run while the pass waits between layers has inputs of its own
      if (!Object.values(inputs).every(({ id, dtype }) => nodeOf.has(id) || dtype === 'int32')) return;
      nodeOf.set(output.id, nodes.length);
      nodes.push({
        kernel,
        inputs: Object.fromEntries(Object.entries(inputs).map(([key, { id }]) => [key, nodeOf.get(id) ?? -1])),
        attributes,
        weights: Object.values(attributes).flatMap((value) => names.get(value) ?? []),
        shape: output.shape,
        hooks: [],
      });
    });
    const tap = {
      wants: () => true,
      visit: (name: HookName, value: Tensor) => {
        nodes[nodeOf.get(value.id) ?? 0].hooks.push(name);
        return value;
      },
    };
    try {
      await model.forward({ ids, pos, caches, tap, logits: 'all' });
    } finally {
      stop();
    }
  });
  return { batch: caches.length, pos, nodes };
}

/** Runs a graph again on ids [batch, pos]: the logits. It needs no model, only the graph. */
export function replayGraph(graph: Graph, ids: Int32Array): Float32Array {
  return tidyValues(() => {
    const input = tensor2d(ids, [graph.batch, graph.pos], 'int32');
    const outputs: Tensor[] = [];
    for (const { kernel, inputs, attributes } of graph.nodes) {
      const tensors = Object.entries(inputs).map(([key, node]) => [key, node < 0 ? input : outputs[node]]);
      outputs.push(runKernel(kernel, Object.fromEntries(tensors), attributes));
    }
    return outputs[outputs.length - 1];
  });
}

/** Each array or storage of the weights → its name. */
function weightNames(weights: LlamaWeights): Map<unknown, string> {
  const names = new Map<unknown, string>();
  (function visit(value: object, path: string) {
    for (const [key, inner] of Object.entries(value)) {
      if (typeof inner !== 'object' || inner === null || (path === '' && key === 'config')) continue;
      const name = path === '' ? key : `${path}.${key}`;
      if (ArrayBuffer.isView(inner) || 'kind' in inner) names.set(inner, name);
      else visit(inner, name);
    }
  })(weights, '');
  return names;
}
