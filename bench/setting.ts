import type { Contender, RoundOptions } from '../dist/cli/bench/rounds.js';
import { Peer } from './peer.js';

/** What all groups of measurements share. */
export interface Setting {
  readonly quick: boolean;
  readonly signal: AbortSignal;
  /** Reads memory; bytes a second. */
  readonly memory: Contender;
  readonly llama: Peer | { absent: string };
  readonly onnx: Peer | { absent: string };
  readonly tensorflow: Peer | { absent: string };
  /** Rounds of a piece of work, half as many where a burst takes seconds. */
  rounds(work: string, slow?: boolean): RoundOptions;
}

/** Contenders of a peer, none where it is absent. */
export function contendersOf(peer: Peer | { absent: string }, make: (peer: Peer) => readonly Contender[]): readonly Contender[] {
  return peer instanceof Peer ? make(peer) : [];
}
