import { layerHook, type HookName } from '../layers/hook-names.js';
import type { LinearName } from './weights.js';

const MODULES = {
  q_proj: 'attn.q_proj',
  k_proj: 'attn.k_proj',
  v_proj: 'attn.v_proj',
  o_proj: 'attn.o_proj',
  gate_proj: 'mlp.gate_proj',
  up_proj: 'mlp.up_proj',
  down_proj: 'mlp.down_proj',
} as const satisfies Record<LinearName, string>;

/** The point before or after a linear layer of a decoder layer. */
export const linearHook = (layer: number, name: LinearName, end: 'in' | 'out'): HookName =>
  layerHook(layer, `${MODULES[name]}.hook_${end}`);
