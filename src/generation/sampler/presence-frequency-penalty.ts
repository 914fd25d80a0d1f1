/**
 * Presence and frequency penalties (OpenAI API reference, "Frequency and presence penalties"):
 * l_j ← l_j − c_j · frequency − [c_j > 0] · presence, where c_j counts token j among those generated.
 */
export function presenceFrequencyPenalty(
  logits: Float32Array,
  counts: ReadonlyMap<number, number>,
  presence: number,
  frequency: number,
): void {
  for (const [id, count] of counts) logits[id] = (logits[id] as number) - count * frequency - presence;
}
