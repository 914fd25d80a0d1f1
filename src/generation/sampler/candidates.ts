/** Tokens among which one is chosen, with their logits. Any constant may be added to all logits. */
export interface Candidates {
  readonly ids: Int32Array;
  readonly logits: Float32Array;
}

/** Tokens of a vocabulary, but for those that are ruled out by a logit of −∞. */
export function among(logits: Float32Array, ids: Int32Array): Candidates {
  const left = { ids: new Int32Array(ids.length), logits: new Float32Array(ids.length) };
  let count = 0;
  for (let i = 0; i < ids.length; i++) {
    const logit = logits[ids[i] as number] as number;
    if (logit === -Infinity) continue;
    left.ids[count] = ids[i] as number;
    left.logits[count++] = logit;
  }
  return { ids: left.ids.subarray(0, count), logits: left.logits.subarray(0, count) };
}

/** All tokens that are not ruled out. */
export const allCandidates = (logits: Float32Array): Candidates => among(logits, atLeast(logits, -Infinity));

/** Places of the logits that are at least so large, in rising order. */
export function atLeast(logits: Float32Array, least: number): Int32Array {
  const places = new Int32Array(logits.length);
  let count = 0;
  for (let i = 0; i < logits.length; i++) if ((logits[i] as number) >= least) places[count++] = i;
  return places.slice(0, count);
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
