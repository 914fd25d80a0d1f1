import { TokenizerError } from '../base/errors.js';
import type { Breathe } from '../base/event-loop.js';
import { byteOfToken } from './byte-characters.js';
import { brief } from './json-field.js';
import { ProtobufReader } from './protobuf.js';
import type { Entries } from './vocabulary.js';

/** `ModelProto.SentencePiece.Type` of sentencepiece_model.proto. */
export const PIECE_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Pieces read between two breaths. */
const PIECES_PER_BREATH = 1024;

const MODEL_TYPES = ['', 'unigram', 'BPE', 'word', 'char'];

/** What a SentencePiece BPE file says, as far as text depends on it. Piece i has id i. */
export interface SentencePieceModel {
  /** The pieces, each of which is there once. */
  readonly entries: Entries;
  readonly scores: Float64Array;
  readonly types: Uint8Array;
  readonly byteFallback: boolean;
  readonly unkId: number;
  /** −1 where the file has none. */
  readonly bosId: number;
  readonly eosId: number;
  readonly padId: number;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
}

/**
 * Reads the protobuf of a SentencePiece `tokenizer.model` (field numbers: google/sentencepiece,
 * src/sentencepiece_model.proto).
 * @throws TokenizerError if it is damaged, not of the BPE kind, or normalises text by a character map.
 */
export async function parseSentencePieceModel(
  bytes: Uint8Array,
  file: string,
  breathe: Breathe,
): Promise<SentencePieceModel> {
  const fail = (thing: string, found: unknown, expected: string): never => {
    throw new TokenizerError({ thing, found, expected, where: file });
  };
  const pieces: string[] = [];
  const scores: number[] = [];
  const types: number[] = [];
  const trainer = { modelType: 1, byteFallback: false, suffix: false, unk: 0, bos: 1, eos: 2, pad: -1 };
  const normalizer = { charsmap: 0, dummyPrefix: true, removeExtra: true, escape: true };

  const reader = new ProtobufReader(bytes, file);
  for (let field = reader.next(); field; field = reader.next()) {
    if (field.kind !== 'bytes') continue;
    if (field.number === 1) {
      const piece = parsePiece(field.value, `${file}, piece ${pieces.length}`);
      pieces.push(piece.text);
      scores.push(piece.score);
      types.push(piece.type);
      if (pieces.length % PIECES_PER_BREATH === 0) await breathe();
    } else if (field.number === 2) {
      parseTrainerSpec(field.value, file, trainer);
    } else if (field.number === 3) {
      parseNormalizerSpec(field.value, file, normalizer);
    }
  }
  if (pieces.length === 0) fail('SentencePiece model', 'no pieces', 'a vocabulary');
  if (trainer.modelType !== 2) {
    fail('kind of SentencePiece model', MODEL_TYPES[trainer.modelType] || trainer.modelType, 'BPE, the kind of LLaMA');
  }
  if (trainer.suffix) fail('treat_whitespace_as_suffix', true, 'false: other files are not supported');
  if (normalizer.charsmap > 0) {
    fail('SentencePiece normaliser', `a character map of ${normalizer.charsmap} bytes`, 'none (identity), as in LLaMA');
  }
  await breathe();
  const ids = checkPieces(pieces, types, trainer.byteFallback, fail);
  const special = (id: number): number => (id >= 0 && id < pieces.length ? id : -1);
  return {
    entries: { tokens: pieces, ids },
    scores: Float64Array.from(scores),
    types: Uint8Array.from(types),
    byteFallback: trainer.byteFallback,
    unkId: types.indexOf(PIECE_TYPE.unknown),
    bosId: special(trainer.bos),
    eosId: special(trainer.eos),
    padId: special(trainer.pad),
    addDummyPrefix: normalizer.dummyPrefix,
    removeExtraWhitespaces: normalizer.removeExtra,
    escapeWhitespaces: normalizer.escape,
  };
}

/** The rules of sentencepiece's `ModelInterface::InitializePieces`; gives the ids of the pieces. */
function checkPieces(
  pieces: readonly string[],
  types: readonly number[],
  byteFallback: boolean,
  fail: (thing: string, found: unknown, expected: string) => never,
): Map<string, number> {
  const ids = new Map<string, number>();
  const bytes = new Set<number>();
  let unknown = 0;
  pieces.forEach((piece, id) => {
    const other = ids.get(piece);
    if (piece === '') fail(`piece ${id}`, 'an empty string', 'some text');
    if (other !== undefined) fail(`piece ${id}`, `the text of piece ${other}`, 'a text of its own');
    ids.set(piece, id);
    if (types[id] === PIECE_TYPE.unknown) unknown++;
    if (types[id] === PIECE_TYPE.byte) {
      if (byteOfToken(piece) < 0) fail(`byte piece ${id}`, brief(piece), 'a name from <0x00> to <0xFF>');
      bytes.add(byteOfToken(piece));
    }
  });
  if (unknown !== 1) fail('pieces of type UNKNOWN', unknown, 'one');
  if (byteFallback && bytes.size !== 256) fail('byte pieces', bytes.size, '256, as byte_fallback is set');
  return ids;
}

function parsePiece(bytes: Uint8Array, where: string): { text: string; score: number; type: number } {
  const piece = { text: '', score: 0, type: PIECE_TYPE.normal as number };
  const reader = new ProtobufReader(bytes, where);
  for (let field = reader.next(); field; field = reader.next()) {
    if (field.number === 1 && field.kind === 'bytes') piece.text = utf8(field.value, where);
    else if (field.number === 2 && field.kind === 'fixed32') piece.score = field.value;
    else if (field.number === 3 && field.kind === 'varint') piece.type = field.value;
  }
  if (!Number.isFinite(piece.score)) {
    throw new TokenizerError({ thing: 'score', found: piece.score, expected: 'a finite number', where });
  }
  if (piece.type < PIECE_TYPE.normal || piece.type > PIECE_TYPE.byte) {
    throw new TokenizerError({ thing: 'piece type', found: piece.type, expected: '1 to 6', where });
  }
  return piece;
}

interface TrainerSpec {
  modelType: number;
  byteFallback: boolean;
  suffix: boolean;
  unk: number;
  bos: number;
  eos: number;
  pad: number;
}

function parseTrainerSpec(bytes: Uint8Array, file: string, spec: TrainerSpec): void {
  const reader = new ProtobufReader(bytes, `${file}, trainer_spec`);
  for (let field = reader.next(); field; field = reader.next()) {
    if (field.kind !== 'varint') continue;
    if (field.number === 3) spec.modelType = field.value;
    else if (field.number === 24) spec.suffix = field.value !== 0;
    else if (field.number === 35) spec.byteFallback = field.value !== 0;
    else if (field.number === 40) spec.unk = field.value;
    else if (field.number === 41) spec.bos = field.value;
    else if (field.number === 42) spec.eos = field.value;
    else if (field.number === 43) spec.pad = field.value;
  }
}

interface NormalizerSpec {
  charsmap: number;
  dummyPrefix: boolean;
  removeExtra: boolean;
  escape: boolean;
}

function parseNormalizerSpec(bytes: Uint8Array, file: string, spec: NormalizerSpec): void {
  const reader = new ProtobufReader(bytes, `${file}, normalizer_spec`);
  for (let field = reader.next(); field; field = reader.next()) {
    if (field.number === 2 && field.kind === 'bytes') spec.charsmap = field.value.length;
    if (field.kind !== 'varint') continue;
    if (field.number === 3) spec.dummyPrefix = field.value !== 0;
    else if (field.number === 4) spec.removeExtra = field.value !== 0;
    else if (field.number === 5) spec.escape = field.value !== 0;
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function utf8(bytes: Uint8Array, where: string): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    const found = 'bytes that are not UTF-8';
    throw new TokenizerError({ thing: 'text of a piece', found, expected: 'UTF-8', where, cause });
  }
}
