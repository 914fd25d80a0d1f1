import { utf8Length } from './byte-characters.js';
import { LiteralMatcher } from './literal-matcher.js';
import { NumberHeap } from './number-heap.js';
import { PIECE_TYPE, type SentencePieceModel } from './sentencepiece-model.js';
import { cachedByWord, wordSplitter, type EncodedWord, type SubwordModel, type TokenSink } from './subword-model.js';

/** Symbols of a word, from left to right: symbol i is its code units [starts[i], ends[i]). */
interface Symbols {
  readonly starts: number[];
  readonly ends: number[];
}

/** A pair in the heap is rank · 2^27 + index of its left symbol: best score first, then leftmost. */
const LEFT_LIMIT = 2 ** 27;

/**
 * SentencePiece's BPE (Kudo and Richardson 2018; google/sentencepiece, src/bpe_model.cc): starting from characters,
 * the two neighbours whose joined text is the piece of highest score are merged, the leftmost first among equals,
 * until none can be. User-defined pieces are taken whole beforehand; unused ones are taken apart again at the end;
 * what is then no piece becomes its UTF-8 bytes, or each run of it one unknown token.
 *
 * It is not turned into a list of merges, because those cannot say that all ways to make a piece have one rank.
 */
export class SentencePieceBpe implements SubwordModel {
  /** In the order of ids. */
  readonly #ids: ReadonlyMap<string, number>;
  /** Per id, how many pieces have a better score. */
  readonly #ranks: Int32Array;
  readonly #types: Uint8Array;
  readonly #byteIds: Int32Array | null;
  readonly #unkId: number;
  readonly #userDefined: LiteralMatcher;
  readonly #words: (text: string) => string[];
  readonly #encodeWord = cachedByWord((word) => this.#encode(word));

  constructor(model: SentencePieceModel) {
    this.#ids = model.entries.ids;
    this.#ranks = ranksOf(model.scores);
    this.#types = model.types;
    this.#byteIds = model.byteFallback ? byteIdsOf(model) : null;
    this.#unkId = model.unkId;
    const pieces = [...this.#ids.keys()];
    this.#userDefined = new LiteralMatcher(pieces.filter((_, id) => this.#types[id] === PIECE_TYPE.userDefined));
    this.#words = wordSplitter(pieces.filter((_, id) => isReachable(this.#types[id] as number)));
  }

  tokenize(text: string, sink: TokenSink): void {
    let from = 0;
    for (const word of this.#words(text)) {
      const { ids, starts, ends } = this.#encodeWord(word);
      for (let i = 0; i < ids.length; i++) {
        sink.push(ids[i] as number, from + (starts[i] as number), from + (ends[i] as number));
      }
      from += word.length;
    }
  }

  #encode(word: string): EncodedWord {
    const { starts, ends } = this.#merge(word);
    const encoded = { ids: [] as number[], starts: [] as number[], ends: [] as number[] };
    for (let i = 0; i < starts.length; i++) {
      const start = starts[i] as number;
      const end = ends[i] as number;
      const last = encoded.ids.length - 1;
      const ids = this.#idsOf(word.slice(start, end));
      if (ids[0] === this.#unkId && encoded.ids[last] === this.#unkId) {
        encoded.ends[last] = end;
        continue;
      }
      for (const id of ids) {
        encoded.ids.push(id);
        encoded.starts.push(start);
        encoded.ends.push(end);
      }
    }
    return encoded;
  }

  #merge(word: string): Symbols {
    const { starts, ends, frozen } = this.#symbols(word);
    const count = starts.length;
    const next = Int32Array.from({ length: count }, (_, i) => (i + 1 < count ? i + 1 : -1));
    const previous = Int32Array.from({ length: count }, (_, i) => i - 1);
    // rank of the pair that begins at a symbol, or −1; a heap entry that disagrees is out of date
    const pairRank = new Int32Array(count).fill(-1);
    const splitOfUnused = new Map<string, number>();
    const heap = new NumberHeap();

    const consider = (left: number): void => {
      const right = next[left] as number;
      pairRank[left] = -1;
      if (right < 0 || frozen[left] || frozen[right]) return;
      const joined = word.slice(starts[left], ends[right]);
      const id = this.#reachable(joined);
      if (id === undefined) return;
      pairRank[left] = this.#ranks[id] as number;
      heap.push((pairRank[left] as number) * LEFT_LIMIT + left);
      if (this.#types[id] === PIECE_TYPE.unused) {
        splitOfUnused.set(joined, (ends[left] as number) - (starts[left] as number));
      }
    };
    for (let i = 0; i + 1 < count; i++) consider(i);
    for (let pair = heap.pop(); pair !== undefined; pair = heap.pop()) {
      const left = pair % LEFT_LIMIT;
      if (pairRank[left] !== Math.floor(pair / LEFT_LIMIT)) continue;
      const right = next[left] as number;
      const after = next[right] as number;
      ends[left] = ends[right] as number;
      next[left] = after;
      pairRank[right] = -1;
      if (after >= 0) previous[after] = left;
      consider(left);
      if ((previous[left] as number) >= 0) consider(previous[left] as number);
    }

    const left: Symbols = { starts: [], ends: [] };
    const keep = (start: number, end: number): void => {
      const piece = word.slice(start, end);
      const id = this.#reachable(piece);
      const split = splitOfUnused.get(piece);
      if (id === undefined || split === undefined || this.#types[id] !== PIECE_TYPE.unused) {
        left.starts.push(start);
        left.ends.push(end);
        return;
      }
      keep(start, start + split);
      keep(start + split, end);
    };
    for (let i = count > 0 ? 0 : -1; i >= 0; i = next[i] as number) keep(starts[i] as number, ends[i] as number);
    return left;
  }

  /** What merging starts from: characters, and user-defined pieces, which are frozen. */
  #symbols(word: string): Symbols & { frozen: boolean[] } {
    const symbols = { starts: [] as number[], ends: [] as number[], frozen: [] as boolean[] };
    for (let i = 0; i < word.length; ) {
      const literal = this.#userDefined.at(word, i);
      symbols.starts.push(i);
      symbols.frozen.push(literal !== undefined);
      i += literal?.length ?? ((word.codePointAt(i) as number) > 0xffff ? 2 : 1);
      symbols.ends.push(i);
    }
    return symbols;
  }

  /** The id of a piece that merging may reach. */
  #reachable(text: string): number | undefined {
    const id = this.#ids.get(text);
    return id !== undefined && isReachable(this.#types[id] as number) ? id : undefined;
  }

  #idsOf(symbol: string): readonly number[] {
    const id = this.#reachable(symbol);
    if (id !== undefined) return [id];
    const byteIds = this.#byteIds;
    return byteIds ? utf8Bytes(symbol.codePointAt(0) as number).map((byte) => byteIds[byte] as number) : [this.#unkId];
  }
}

/** Whether merging may reach a piece. */
const isReachable = (type: number): boolean =>
  type === PIECE_TYPE.normal || type === PIECE_TYPE.userDefined || type === PIECE_TYPE.unused;

function utf8Bytes(codePoint: number): number[] {
  const count = utf8Length(codePoint);
  if (count === 1) return [codePoint];
  const lead = [0, 0, 0xc0, 0xe0, 0xf0][count] as number;
  return Array.from({ length: count }, (_, i) => {
    const bits = codePoint >> (6 * (count - 1 - i));
    return i === 0 ? lead | bits : 0x80 | (bits & 0x3f);
  });
}

/** By looking in the sorted scores: as keys of a Map, numbers that are no small integers would each become an object. */
function ranksOf(scores: Float64Array): Int32Array {
  const bestFirst = scores.map((score) => -score).sort();
  return Int32Array.from(scores, (score) => {
    let [from, to] = [0, bestFirst.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((bestFirst[middle] as number) < -score) from = middle + 1;
      else to = middle;
    }
    return from;
  });
}

function byteIdsOf(model: SentencePieceModel): Int32Array {
  const ids = new Int32Array(256);
  for (const [piece, id] of model.entries.ids) {
    if (model.types[id] === PIECE_TYPE.byte) ids[Number.parseInt(piece.slice(3, 5), 16)] = id;
  }
  return ids;
}
