/**
 * Repetition penalty (Keskar et al. 2019, "CTRL", §4.1, with the usual care for sign): the logit of a token that has
 * occurred is divided by `penalty` if it is positive and multiplied by it otherwise.
 */
export function repetitionPenalty(
  logits: Float32Array,
  occurred: ReadonlyMap<number, number>,
  penalty: number,
): void {
  for (const id of occurred.keys()) {
    const logit = logits[id] as number;
    logits[id] = logit > 0 ? logit / penalty : logit * penalty;
  }
}
