// Buffers with guards, random numbers and checks for the C++ tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define NIBBLELENS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NIBBLELENS_ASAN 1
#endif
#endif
#ifdef NIBBLELENS_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#endif

inline int failures = 0;
inline int checks = 0;

inline void check(bool good, const std::string& what) {
  checks++;
  if (good) return;
  failures++;
  if (failures <= 20) std::printf("FAILED: %s\n", what.c_str());
}

/** xorshift64*: the same numbers everywhere. */
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2685821657736338717ull + 1) {}
  uint64_t bits() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 2685821657736338717ull;
  }
  size_t below(size_t bound) { return static_cast<size_t>(bits() >> 16) % bound; }
  /** From −1 to 1. */
  float real() { return static_cast<float>(static_cast<double>(bits() >> 40) / 8388608.0 - 1.0); }

 private:
  uint64_t state_;
};

/**
 * An array between guards of 0xFF bytes (NaN as floats), at any alignment of its elements. Reading or writing a guard
 * is caught by the address sanitizer; where it does not look (masked vector loads), a NaN in the result or a changed
 * guard tells.
 */
template <typename T>
class Guarded {
 public:
  explicit Guarded(size_t count, size_t shift = 0)
      : count_(count),
        bytes_(2 * kGuard + (count + shift) * sizeof(T), 0xFF),
        data_(bytes_.data() + kGuard + shift * sizeof(T)) {
    ASAN_POISON_MEMORY_REGION(bytes_.data(), kGuard + shift * sizeof(T));
    ASAN_POISON_MEMORY_REGION(end(), kGuard);
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  ~Guarded() {
    ASAN_UNPOISON_MEMORY_REGION(bytes_.data(), bytes_.size());
    bool intact = true;
    for (const uint8_t* p = bytes_.data(); p < data_; p++) intact = intact && *p == 0xFF;
    for (const uint8_t* p = end(); p < bytes_.data() + bytes_.size(); p++) intact = intact && *p == 0xFF;
    check(intact, "a guard was overwritten");
  }

  T* data() { return reinterpret_cast<T*>(data_); }
  size_t size() const { return count_; }
  T& operator[](size_t i) { return data()[i]; }

 private:
  static constexpr size_t kGuard = 64;
  uint8_t* end() { return data_ + count_ * sizeof(T); }

  size_t count_;
  std::vector<uint8_t> bytes_;
  uint8_t* data_;
};

inline void fill(Guarded<float>& to, Random& random) {
  for (size_t i = 0; i < to.size(); i++) to[i] = random.real();
}

inline bool near(double found, double expected, double bound) {
  return std::fabs(found - expected) <= bound + 1e-30;
}

/** The float16 value of bits that are not special. */
inline double halfValue(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

/** The bits of a float16 value. */
inline uint16_t halfBits(double value) {
  const int exponent = value == 0 ? -14 : std::max(std::ilogb(value), -14);
  // from 1024 on, unless subnormal
  const auto fraction = static_cast<int>(std::ldexp(std::fabs(value), 10 - exponent));
  const int magnitude = fraction < 1024 ? fraction : (exponent + 14) * 1024 + fraction;
  return static_cast<uint16_t>(magnitude | (std::signbit(value) ? 0x8000 : 0));
}
