import type { RopeConfig } from '../checkpoint/config.js';
import type { RotaryTable } from '../ops/rope.js';

/** Positions made at once, which takes some milliseconds. */
const CHUNK = 512;

/** Cosines and sines [positions, d_head / 2], angles in float32 as transformers computes them. */
export function rotaryTable(config: RopeConfig, dHead: number, positions: number): RotaryTable {
  const table = emptyTable(dHead, positions);
  fillRows(table, config, dHead, 0, positions);
  return table;
}

/**
 * The same, made as far as positions are reached: whole, it would take seconds and hundreds of megabytes at a context of
 * a million. Arrays that were never written to take no memory.
 */
export function growingRotaryTable(config: RopeConfig, dHead: number, positions: number): RotaryTable {
  const table = emptyTable(dHead, positions);
  let made = 0;
  return {
    ...table,
    reach(end) {
      if (end <= made) return;
      const to = Math.min(Math.ceil(end / CHUNK) * CHUNK, positions);
      fillRows(table, config, dHead, made, to);
      made = to;
    },
    get made() {
      return made;
    },
  };
}

const emptyTable = (dHead: number, positions: number): RotaryTable => ({
  positions,
  cos: new Float32Array(positions * (dHead / 2)),
  sin: new Float32Array(positions * (dHead / 2)),
});

function fillRows({ cos, sin }: RotaryTable, config: RopeConfig, dHead: number, from: number, to: number): void {
  const frequencies = inverseFrequencies(config, dHead);
  const half = frequencies.length;
  const factor = config.type === 'yarn' ? config.attentionFactor : 1;
  for (let position = from; position < to; position++) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * frequencies[i]);
      cos[position * half + i] = Math.fround(Math.cos(angle)) * factor;
      sin[position * half + i] = Math.fround(Math.sin(angle)) * factor;
    }
  }
}

/**
 * ω_i [d_head / 2]: θ^(−2i / d_head), then scaled for longer contexts:
 * - linear: divided by the factor (kaiokendev 2023);
 * - yarn: a ramp between ω and ω / factor over the dimensions (Peng et al. 2023, arXiv:2309.00071, §3.2);
 * - llama3: the same by wavelength (Llama 3.1's published configuration);
 * - factors: divided by a factor each (GGUF's `rope_freqs`).
 */
export function inverseFrequencies(config: RopeConfig, dHead: number): Float32Array {
  // rounded to float32 at the same places as in transformers, so that large positions turn by the same angle
  const base = Float32Array.from({ length: dHead / 2 }, (_, i) => {
    return 1 / Math.fround(config.theta ** Math.fround((2 * i) / dHead));
  });
  switch (config.type) {
    case 'default':
      return base;
    case 'linear':
      return base.map((frequency) => frequency / config.factor);
    case 'factors':
      return base.map((frequency, i) => frequency / config.factors[i]);
    case 'yarn': {
      // the dimension whose wave turns `rotations` times over the original context
      const dimensionOf = (rotations: number) =>
        (dHead * Math.log(config.originalMaxPositionEmbeddings / (rotations * 2 * Math.PI))) /
        (2 * Math.log(config.theta));
      const ends = [dimensionOf(config.betaFast), dimensionOf(config.betaSlow)];
      const low = Math.max(config.truncate ? Math.floor(ends[0]) : ends[0], 0);
      const high = Math.min(config.truncate ? Math.ceil(ends[1]) : ends[1], dHead - 1);
      return base.map((frequency, i) => {
        const ramp = clamp((i - low) / Math.max(high - low, 0.001), 0, 1);
        return (frequency / config.factor) * ramp + frequency * (1 - ramp);
      });
    }
    case 'llama3': {
      const { factor, lowFreqFactor, highFreqFactor, originalMaxPositionEmbeddings } = config;
      return base.map((frequency) => {
        const turns = (originalMaxPositionEmbeddings * frequency) / (2 * Math.PI);
        const kept = clamp((turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor), 0, 1);
        return (1 - kept) * (frequency / factor) + kept * frequency;
      });
    }
  }
}

const clamp = (value: number, low: number, high: number): number => Math.min(Math.max(value, low), high);
