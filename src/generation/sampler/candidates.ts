/** Tokens among which one is chosen, with their logits. Any constant may be added to all logits. */
export interface Candidates {
  readonly ids: Int32Array;
  readonly logits: Float32Array;
}

/** All tokens that are not ruled out by a logit of −∞. */
export function allCandidates(logits: Float32Array): Candidates {
  const ids = new Int32Array(logits.length);
  for (let id = 0; id < ids.length; id++) ids[id] = id;
  const all = { ids, logits };
  return logits.includes(-Infinity) ? pick(all, ids.filter((id) => logits[id] !== -Infinity)) : all;
}

/** The candidates at the given places. */
export function pick({ ids, logits }: Candidates, places: Int32Array): Candidates {
  if (places.length === ids.length) return { ids, logits };
  const picked = { ids: new Int32Array(places.length), logits: new Float32Array(places.length) };
  for (let i = 0; i < places.length; i++) {
    picked.ids[i] = ids[places[i] as number] as number;
    picked.logits[i] = logits[places[i] as number] as number;
  }
  return picked;
}

/** Keys by which the likeliest come first. */
export function negated(values: Float32Array | Float64Array): Float64Array {
  const result = new Float64Array(values.length);
  for (let i = 0; i < result.length; i++) result[i] = -(values[i] as number);
  return result;
}

export function maximum(values: Float32Array): number {
  let most = -Infinity;
  for (let i = 0; i < values.length; i++) if ((values[i] as number) > most) most = values[i] as number;
  return most;
}

/** p_i = exp(l_i − max) / Σ_j exp(l_j − max), in float64. */
export function probabilities({ logits }: Candidates): Float64Array {
  const most = maximum(logits);
  const result = new Float64Array(logits.length);
  let total = 0;
  for (let i = 0; i < logits.length; i++) total += result[i] = Math.exp((logits[i] as number) - most);
  for (let i = 0; i < logits.length; i++) result[i] = (result[i] as number) / total;
  return result;
}
