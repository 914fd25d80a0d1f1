/**
 * Adds to the logits of tokens (OpenAI API reference, `logit_bias`). −∞ rules a token out; where tokens have +∞, one
 * of them is chosen, by their own logits.
 */
export function logitBias(logits: Float32Array, bias: ReadonlyMap<number, number>): void {
  const forced = [...bias].filter(([, value]) => value === Infinity).map(([id]) => [id, logits[id] as number] as const);
  if (forced.length === 0) for (const [id, value] of bias) logits[id] = (logits[id] as number) + value;
  else logits.fill(-Infinity);
  for (const [id, logit] of forced) logits[id] = logit;
}
