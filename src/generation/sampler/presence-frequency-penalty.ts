/**
 * Presence and frequency penalties (OpenAI API reference, "Frequency and presence penalties"):
 * l_j ← l_j − c_j · frequency − [c_j > 0] · presence, where c_j counts token j among those generated.
 */
export function presenceFrequencyPenalty(
  logits: Float32Array,
  counts: ReadonlyMap<number, number>,
  presence: number,
  frequency: number,
): Float32Array {
  const result = logits.slice();
  for (const [id, count] of counts) result[id] = (result[id] as number) - count * frequency - presence;
  return result;
}
