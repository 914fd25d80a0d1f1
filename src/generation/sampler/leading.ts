/** Ranges of at most this many places are sorted outright. */
const SORTED_OUTRIGHT = 24;

/**
 * Places of the fewest items, in order of rising key (ties: lower place first), whose weights sum to at least
 * `target`; at least one, all if the sum is never reached. Returned in rising order of place.
 *
 * Quickselect by weight (Hoare 1961, "Algorithm 65: Find"): linear in the number of items on average, where sorting
 * 128,000 of them would cost more than the rest of a decoding step.
 */
export function leading(keys: Float64Array, weights: Float64Array | null, target: number): Int32Array {
  const places = new Int32Array(keys.length);
  for (let i = 0; i < places.length; i++) places[i] = i;
  const weightAt = (i: number): number => (weights ? (weights[places[i] as number] as number) : 1);
  let rest = target;
  let low = 0;
  let high = places.length;
  while (high - low > SORTED_OUTRIGHT) {
    const middle = partition(places, keys, low, high);
    let before = 0;
    for (let i = low; i < middle; i++) before += weightAt(i);
    if (before >= rest) {
      high = middle;
      continue;
    }
    rest -= before + weightAt(middle);
    low = middle + 1;
    if (rest <= 0) return places.subarray(0, low).sort();
  }
  places.subarray(low, high).sort((a, b) => (comesBefore(keys, a, b) ? -1 : 1));
  while (low < high && rest > 0) rest -= weightAt(low++);
  return places.subarray(0, Math.max(low, Math.min(1, places.length))).sort();
}

/** Whether place `a` comes before place `b`: by key, then by place. */
function comesBefore(keys: Float64Array, a: number, b: number): boolean {
  const left = keys[a] as number;
  const right = keys[b] as number;
  return left < right || (left === right && a < b);
}

/** Moves what comes before a pivot to the front of [low, high); returns where the pivot then is. */
function partition(places: Int32Array, keys: Float64Array, low: number, high: number): number {
  const last = high - 1;
  const middle = (low + high) >> 1;
  const order = (first: number, second: number): void => {
    if (comesBefore(keys, places[second] as number, places[first] as number)) swap(places, first, second);
  };
  order(low, middle);
  order(low, last);
  order(last, middle);
  const pivot = places[last] as number;
  let border = low;
  for (let i = low; i < last; i++) {
    if (comesBefore(keys, places[i] as number, pivot)) swap(places, i, border++);
  }
  swap(places, border, last);
  return border;
}

function swap(places: Int32Array, i: number, j: number): void {
  const place = places[i] as number;
  places[i] = places[j] as number;
  places[j] = place;
}
