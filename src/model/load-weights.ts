import { breather } from '../base/event-loop.js';
import type { Checkpoint } from '../checkpoint/index.js';
import type { DecoderLayerWeights, LlamaWeights } from './weights.js';

/** Reads all weights of a checkpoint, a layer at a time; `onProgress` hears of layers done, of all. */
export async function loadWeights(
  checkpoint: Checkpoint,
  { signal, onProgress }: { signal?: AbortSignal; onProgress?: (done: number, total: number) => void } = {},
): Promise<LlamaWeights> {
  const breathe = breather(signal);
  const { config } = checkpoint;
  const layers: DecoderLayerWeights[] = [];
  for (let i = 0; i < config.numHiddenLayers; i++) {
    const linear = (name: string) => checkpoint.linear(`model.layers.${i}.${name}`);
    const gain = (name: string) => checkpoint.vector(`model.layers.${i}.${name}.weight`);
    const layer: DecoderLayerWeights = {
      input_layernorm: gain('input_layernorm'),
      q_proj: linear('self_attn.q_proj'),
      k_proj: linear('self_attn.k_proj'),
      v_proj: linear('self_attn.v_proj'),
      o_proj: linear('self_attn.o_proj'),
      post_attention_layernorm: gain('post_attention_layernorm'),
      gate_proj: linear('mlp.gate_proj'),
      up_proj: linear('mlp.up_proj'),
      down_proj: linear('mlp.down_proj'),
    };
    layers.push(layer);
    onProgress?.(i + 1, config.numHiddenLayers);
    await breathe();
  }
  return {
    config,
    embed_tokens: checkpoint.embedding(),
    layers,
    norm: checkpoint.vector('model.norm.weight'),
    lm_head: checkpoint.lmHead(),
  };
}
