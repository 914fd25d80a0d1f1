// Codes and activations as integers in AVX2 registers. `integer_scalar.h` declares the same names, and says by its
// loops what each does. Where the compiler may use VNNI, its instructions multiply and sum: they leave 32 bits, so that
// no product has to fit 16.
//
// Inputs are taken in runs of 64, the 32 even ones apart from the 32 odd ones, as compute layout 2 has the codes: so no
// shuffle stands between a row of codes and its products. Products of a run fall into eight int32 lanes, lane i the sum
// over inputs 8i … 8i + 7. A stretch is four runs, which is 32 bytes of a plane of one bit.
#pragma once

#include "lanes_avx2.h"
#include "storage.h"

namespace nibblelens::NIBBLELENS_ISA {

using IntLanes = __m256i;

/** The codes of a run, in bytes. */
struct Codes {
  __m256i even;
  __m256i odd;
};

/** Bits at `from` of each byte, moved to `to`. Whole words are shifted: the mask drops what crosses bytes. */
template <int from, int to, int mask>
static inline __m256i field(__m256i bytes) {
  __m256i moved = bytes;
  if constexpr (from > to) moved = _mm256_srli_epi16(bytes, from - to);
  if constexpr (from < to) moved = _mm256_slli_epi16(bytes, to - from);
  return _mm256_and_si256(moved, _mm256_set1_epi8(static_cast<char>(mask << to)));
}

/** 32 bytes, or where `half` 16 of them and zeros. */
template <bool half>
static inline __m256i loadBytes(const uint8_t* p) {
  if constexpr (half) return _mm256_zextsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  else return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

/** The bits of a plane for one run of a stretch, moved up to `to`. */
template <int planeBits, int run, bool half, int to>
static inline Codes planeCodes(const uint8_t* plane) {
  constexpr int runs = 4 / planeBits;
  constexpr int shift = 2 * planeBits * (run % runs);
  constexpr int mask = (1 << planeBits) - 1;
  const __m256i bytes = loadBytes<half>(plane + run / runs * 32);
  return {field<shift, to, mask>(bytes), field<shift + planeBits, to, mask>(bytes)};
}

/** The codes of one run of a stretch whose planes start at `low` and `high`; where `half`, of its first 32 inputs. */
template <int bits, int run, bool half>
static inline Codes loadCodes(const uint8_t* low, const uint8_t* high) {
  if constexpr (bits == 8) {
    const __m256i first = loadBytes<false>(low + run * 64);
    const __m256i second = half ? _mm256_setzero_si256() : loadBytes<false>(low + run * 64 + (half ? 0 : 32));
    return {_mm256_permute2x128_si256(first, second, 0x20), _mm256_permute2x128_si256(first, second, 0x31)};
  } else {
    constexpr int lowBits = static_cast<int>(PackedMatrix::lowBitsOf(bits));
    const Codes lower = planeCodes<lowBits, run, half, 0>(low);
    if constexpr (bits == lowBits) return lower;
    else {
      const Codes upper = planeCodes<bits - lowBits, run, half, lowBits>(high);
      return {_mm256_or_si256(lower.even, upper.even), _mm256_or_si256(lower.odd, upper.odd)};
    }
  }
}

/** 64 codes in the order of inputs, as floats. */
static inline void storeCodes(const Codes& codes, float* to) {
  const __m256i low = _mm256_unpacklo_epi8(codes.even, codes.odd);
  const __m256i high = _mm256_unpackhi_epi8(codes.even, codes.odd);
  const auto store16 = [](__m128i bytes, float* at) {
    store(at, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)));
    store(at + 8, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))));
  };
  store16(_mm256_castsi256_si128(low), to);
  store16(_mm256_castsi256_si128(high), to + 16);
  store16(_mm256_extracti128_si256(low, 1), to + 32);
  store16(_mm256_extracti128_si256(high, 1), to + 48);
}
/** The 32 even and then the 32 odd ones. */
static inline void storeCodeBytes(const Codes& codes, uint8_t* to) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), codes.even);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to) + 1, codes.odd);
}

#ifdef __AVX512VNNI__
/** What `dotBytes` takes from each code. */
template <int>
constexpr int kByteBase = 0;

/** Σ (q − kByteBase)·x of each lane's inputs; x are 64 bytes, even inputs first, from -127 to 127. */
template <int>
static inline IntLanes dotBytes(const Codes& codes, const int8_t* x) {
  const __m256i even = loadBytes<false>(reinterpret_cast<const uint8_t*>(x));
  const __m256i odd = loadBytes<false>(reinterpret_cast<const uint8_t*>(x) + 32);
  return _mm256_dpbusd_epi32(_mm256_dpbusd_epi32(_mm256_setzero_si256(), codes.even, even), codes.odd, odd);
}
#else
/** What `dotBytes` takes from each code, so that products of bytes fit. */
template <int bits>
constexpr int kByteBase = bits == 8 ? 128 : 0;

/**
 * Σ (q − kByteBase)·x of each lane's inputs; x are 64 bytes, even inputs first, from -127 to 127. VPMADDUBSW sums
 * pairs in 16 bits: 2·63·127 twice, or 2·128·127 once, fits.
 */
template <int bits>
static inline IntLanes dotBytes(const Codes& codes, const int8_t* x) {
  const __m256i even = loadBytes<false>(reinterpret_cast<const uint8_t*>(x));
  const __m256i odd = loadBytes<false>(reinterpret_cast<const uint8_t*>(x) + 32);
  const __m256i ones = _mm256_set1_epi16(1);
  if constexpr (bits == 8) {
    const __m256i top = _mm256_set1_epi8(static_cast<char>(0x80));
    const __m256i a = _mm256_xor_si256(codes.even, top);
    const __m256i b = _mm256_xor_si256(codes.odd, top);
    const __m256i evens = _mm256_maddubs_epi16(_mm256_abs_epi8(a), _mm256_sign_epi8(even, a));
    const __m256i odds = _mm256_maddubs_epi16(_mm256_abs_epi8(b), _mm256_sign_epi8(odd, b));
    return _mm256_add_epi32(_mm256_madd_epi16(evens, ones), _mm256_madd_epi16(odds, ones));
  } else {
    const __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(codes.even, even), _mm256_maddubs_epi16(codes.odd, odd));
    return _mm256_madd_epi16(pairs, ones);
  }
}
#endif

/** Codes as words: the even ones' even and odd bytes, then the odd ones'. */
struct CodeWords {
  __m256i words[4];
};

static inline CodeWords wordsOf(const Codes& codes) {
  const __m256i byte = _mm256_set1_epi16(255);
  return {{_mm256_and_si256(codes.even, byte), _mm256_srli_epi16(codes.even, 8), _mm256_and_si256(codes.odd, byte),
           _mm256_srli_epi16(codes.odd, 8)}};
}

template <int bits, int run, bool half>
static inline CodeWords loadCodeWords(const uint8_t* low, const uint8_t* high) {
  if constexpr (bits == 4) {
    const __m256i nibble = _mm256_set1_epi16(15);
    const __m256i words = loadBytes<half>(low + run * 32);
    return {{_mm256_and_si256(words, nibble), _mm256_and_si256(_mm256_srli_epi16(words, 8), nibble),
             _mm256_and_si256(_mm256_srli_epi16(words, 4), nibble), _mm256_srli_epi16(words, 12)}};
  } else {
    return wordsOf(loadCodes<bits, run, half>(low, high));
  }
}

/** Σ q·x of each lane's inputs; x are 64 words in the order of `wordsOf`. */
static inline IntLanes dotWords(const CodeWords& codes, const int16_t* x) {
  const auto inputs = [&](size_t i) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 16 * i)); };
#ifdef __AVX512VNNI__
  // in two sums: each instruction waits for the one before
  const auto twoParts = [&](size_t i) {
    return _mm256_dpwssd_epi32(_mm256_madd_epi16(codes.words[i], inputs(i)), codes.words[i + 1], inputs(i + 1));
  };
  return _mm256_add_epi32(twoParts(0), twoParts(2));
#else
  const auto product = [&](size_t i) { return _mm256_madd_epi16(codes.words[i], inputs(i)); };
  return _mm256_add_epi32(_mm256_add_epi32(product(0), product(1)), _mm256_add_epi32(product(2), product(3)));
#endif
}

static inline IntLanes loadInts(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
static inline void storeInts(int32_t* p, IntLanes a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a); }
static inline IntLanes splatInt(int32_t value) { return _mm256_set1_epi32(value); }
static inline IntLanes addInts(IntLanes a, IntLanes b) { return _mm256_add_epi32(a, b); }
static inline IntLanes subInts(IntLanes a, IntLanes b) { return _mm256_sub_epi32(a, b); }
static inline IntLanes mulInts(IntLanes a, IntLanes b) { return _mm256_mullo_epi32(a, b); }
template <int by>
static inline IntLanes shiftedUp(IntLanes a) {
  return _mm256_slli_epi32(a, by);
}
static inline Lanes floatsOf(IntLanes a) { return _mm256_cvtepi32_ps(a); }
static inline IntLanes roundToInts(Lanes a) { return _mm256_cvtps_epi32(a); }
/**
 * `bytes` bytes, at most 16, and zeros. Powers of two take one load: to go through memory would wait for the store.
 */
static inline __m128i loadFew(const void* p, size_t bytes) {
  uint64_t few = 0;
  if (bytes == 16) return _mm_loadu_si128(static_cast<const __m128i*>(p));
  if (bytes == 8) std::memcpy(&few, p, 8);
  else if (bytes == 4) std::memcpy(&few, p, 4);
  else if (bytes == 2) std::memcpy(&few, p, 2);
  else {
    uint8_t padded[16] = {};
    for (size_t i = 0; i < bytes; i++) padded[i] = static_cast<const uint8_t*>(p)[i];
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(padded));
  }
  return _mm_cvtsi64_si128(static_cast<long long>(few));
}
/** The first `count` lanes, at most eight; the others are 0. */
static inline IntLanes loadBytesSome(const uint8_t* p, size_t count) { return _mm256_cvtepu8_epi32(loadFew(p, count)); }
static inline Lanes loadF16Some(const uint16_t* p, size_t count) { return _mm256_cvtph_ps(loadFew(p, 2 * count)); }

/** Eight values, one for every 32 inputs of a stretch, in the order that `spread` wants. */
static inline Lanes forSpread(Lanes a) {
  return _mm256_permutevar8x32_ps(a, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}
/** The lane that `forSpread` puts value i in. */
static inline size_t spreadLane(size_t i) { return i % 2 * 4 + i / 2; }
/** The value of each lane's inputs in a run. */
template <int run>
static inline Lanes spread(Lanes paired) {
  return _mm256_permute_ps(paired, run * 0x55);
}
/** The first 8 / copies values, each `copies` times; copies is 1, 2, 4 or 8. */
static inline Lanes repeatEach(Lanes a, size_t copies) {
  alignas(32) static const int32_t order[4][8] = {
      {0, 1, 2, 3, 4, 5, 6, 7}, {0, 0, 1, 1, 2, 2, 3, 3}, {0, 0, 0, 0, 1, 1, 1, 1}, {0, 0, 0, 0, 0, 0, 0, 0}};
  const size_t row = copies == 1 ? 0 : copies == 2 ? 1 : copies == 4 ? 2 : 3;
  return _mm256_permutevar8x32_ps(a, loadInts(order[row]));
}
static inline Lanes asLanes(IntLanes a) { return _mm256_castsi256_ps(a); }
static inline IntLanes asInts(Lanes a) { return _mm256_castps_si256(a); }

/** Words of bytes in order, 16 inputs to a half: x[0 … 63] of bytes as the even and the odd ones. */
static inline void storeRunBytes(const IntLanes ints[8], int8_t* to) {
  __m256i inOrder[2];
  for (size_t i = 0; i < 2; i++) {
    const __m256i first = _mm256_packs_epi32(ints[4 * i], ints[4 * i + 1]);
    const __m256i second = _mm256_packs_epi32(ints[4 * i + 2], ints[4 * i + 3]);
    inOrder[i] = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(first, second), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  }
  const auto evens = [](__m256i a) { return _mm256_srai_epi16(_mm256_slli_epi16(a, 8), 8); };
  const auto odds = [](__m256i a) { return _mm256_srai_epi16(a, 8); };
  const auto packed = [](__m256i a, __m256i b) { return _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), 0xd8); };
  auto* const out = reinterpret_cast<__m256i*>(to);
  _mm256_storeu_si256(out, packed(evens(inOrder[0]), evens(inOrder[1])));
  _mm256_storeu_si256(out + 1, packed(odds(inOrder[0]), odds(inOrder[1])));
}

/** x of a run as words in the order of `wordsOf`; each int fits 16 bits. */
static inline void storeRunWords(const IntLanes ints[8], int16_t* to) {
  // piece i holds inputs 8i … 8i + 7 and, in its high half, those 32 further; its dwords are inputs (0, 4) (1, 5) (2, 6) (3, 7)
  const __m256i apart = _mm256_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15,
                                         0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
  __m256i pieces[4];
  for (size_t i = 0; i < 4; i++) {
    const __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(ints[i], ints[i + 4]), 0xd8);
    pieces[i] = _mm256_shuffle_epi8(both, apart);
  }
  const __m256i low01 = _mm256_unpacklo_epi32(pieces[0], pieces[1]);
  const __m256i low23 = _mm256_unpacklo_epi32(pieces[2], pieces[3]);
  const __m256i high01 = _mm256_unpackhi_epi32(pieces[0], pieces[1]);
  const __m256i high23 = _mm256_unpackhi_epi32(pieces[2], pieces[3]);
  auto* const out = reinterpret_cast<__m256i*>(to);
  _mm256_storeu_si256(out, _mm256_unpacklo_epi64(low01, low23));       // inputs 4j
  _mm256_storeu_si256(out + 1, _mm256_unpacklo_epi64(high01, high23)); // 4j + 2
  _mm256_storeu_si256(out + 2, _mm256_unpackhi_epi64(low01, low23));   // 4j + 1
  _mm256_storeu_si256(out + 3, _mm256_unpackhi_epi64(high01, high23)); // 4j + 3
}

/** Rows whose `QuadSums`, two lane rows, registers have room for. */
constexpr size_t kQuadRows = 4;
/** Sums of products of four inputs, for eight outputs. */
using QuadSums = __m256i;
static inline QuadSums zeroQuads() { return _mm256_setzero_si256(); }
/** Four codes of each of eight outputs. */
using QuadCodes = __m256i;
static inline QuadCodes loadQuads(const uint8_t* p) { return loadBytes<false>(p); }
/** x of four inputs, in each lane. */
static inline __m256i fourInputs(const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, sizeof four);
  return _mm256_set1_epi32(four);
}
#ifdef __AVX512VNNI__
/** Quads that a `QuadSums` can take before it is widened, codes as large as `bits` says. */
template <int>
constexpr size_t kQuads = 8;
/** sums + Σ over four inputs of codes[output][input]·x[input]; codes of eight outputs, x of one row. */
static inline QuadSums addQuad(QuadSums sums, QuadCodes codes, const int8_t* x) {
  return _mm256_dpbusd_epi32(sums, codes, fourInputs(x));
}
static inline IntLanes widen(QuadSums sums) { return sums; }
#else
/** Quads that a `QuadSums` can take before it is widened, codes as large as `bits` says. */
template <int bits>
constexpr size_t kQuads = bits <= 4 ? 8 : bits == 5 ? 4 : 2;
/** sums + Σ over four inputs of codes[output][input]·x[input]; codes of eight outputs, x of one row. */
static inline QuadSums addQuad(QuadSums sums, QuadCodes codes, const int8_t* x) {
  return _mm256_add_epi16(sums, _mm256_maddubs_epi16(codes, fourInputs(x)));
}
static inline IntLanes widen(QuadSums sums) { return _mm256_madd_epi16(sums, _mm256_set1_epi16(1)); }
#endif

}  // namespace nibblelens::NIBBLELENS_ISA
