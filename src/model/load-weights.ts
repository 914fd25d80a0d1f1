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
    const linear = (name: string) => checkpoint.linear(`model.layers.${i}.${name}`, breathe);
    const gain = (name: string) => checkpoint.vector(`model.layers.${i}.${name}.weight`, breathe);
    const layer: DecoderLayerWeights = {
      input_layernorm: await gain('input_layernorm'),
      q_proj: await linear('self_attn.q_proj'),
      k_proj: await linear('self_attn.k_proj'),
      v_proj: await linear('self_attn.v_proj'),
      o_proj: await linear('self_attn.o_proj'),
      post_attention_layernorm: await gain('post_attention_layernorm'),
      gate_proj: await linear('mlp.gate_proj'),
      up_proj: await linear('mlp.up_proj'),
      down_proj: await linear('mlp.down_proj'),
    };
    layers.push(layer);
    onProgress?.(i + 1, config.numHiddenLayers);
    await breathe();
  }
  const embedding = await checkpoint.embedding(breathe);
  return {
    config,
    embed_tokens: embedding,
    layers,
    norm: await checkpoint.vector('model.norm.weight', breathe),
    lm_head: (await checkpoint.lmHead(breathe)) ?? { weight: embedding, bias: null },
  };
}
