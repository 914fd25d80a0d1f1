/**
 * Adds to the logits of tokens (OpenAI API reference, `logit_bias`). −∞ rules a token out; where tokens have +∞, one
 * of them is chosen, by their own logits.
 */
export function logitBias(logits: Float32Array, bias: ReadonlyMap<number, number>): Float32Array {
  const forced = [...bias].filter(([, value]) => value === Infinity).map(([id]) => id);
  const result = forced.length > 0 ? new Float32Array(logits.length).fill(-Infinity) : logits.slice();
  for (const id of forced) result[id] = logits[id] as number;
  if (forced.length === 0) for (const [id, value] of bias) result[id] = (result[id] as number) + value;
  return result;
}
