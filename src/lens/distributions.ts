/** log softmax, in float64 inside. */
export function logSoftmax(logits: Float32Array): Float32Array {
  let max = -Infinity;
  for (const logit of logits) max = Math.max(max, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  const normalizer = max + Math.log(sum);
  return logits.map((logit) => logit - normalizer);
}

/** KL(p ‖ q) in nats, of log-probabilities. Where p is 0, q does not count. */
export function klDivergence(logP: Float32Array, logQ: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < logP.length; i++) {
    if (logP[i] !== -Infinity) sum += Math.exp(logP[i]) * (logP[i] - logQ[i]);
  }
  return Math.max(sum, 0);
}

/** Indices of the largest values, largest first; of equals the lower index first. */
export function topIds(values: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let id = 0; id < values.length; id++) {
    if (best.length === count && values[id] <= values[best[count - 1]]) continue;
    let at = best.length;
    while (at > 0 && values[best[at - 1]] < values[id]) at--;
    best.splice(at, 0, id);
    if (best.length > count) best.pop();
  }
  return best;
}
