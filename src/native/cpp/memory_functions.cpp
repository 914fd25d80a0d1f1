// Reading memory and nothing else, for JavaScript: what a bandwidth is measured by.
#include "arguments.h"
#include "kernel_functions.h"
#include "thread_pool.h"

namespace nibblelens {
namespace {

/** Words of a cache line. Sums of as many places are apart, so that no add waits for the one before. */
constexpr size_t kLineWords = 16;
/** Bytes ahead that are asked for: about as many as arrive at 20 GB/s within a latency of 100 ns. */
constexpr size_t kAheadWords = 512;

int32_t sumOf(const int32_t* words, size_t count) {
  uint32_t sums[kLineWords] = {};
  size_t at = 0;
  for (; at + kLineWords <= count; at += kLineWords) {
#if defined(__GNUC__)
    __builtin_prefetch(words + at + kAheadWords);
#endif
    for (size_t i = 0; i < kLineWords; i++) sums[i] += static_cast<uint32_t>(words[at + i]);
  }
  for (size_t i = 0; at < count; i++, at++) sums[i] += static_cast<uint32_t>(words[at]);
  uint32_t sum = 0;
  for (const uint32_t one : sums) sum += one;
  return static_cast<int32_t>(sum);
}

/** sums[i] = Σ_k words[i·block + k] modulo 2^32 */
void sumBlocks(const Napi::CallbackInfo& info) {
  const Reader read(info.Env(), "sumBlocks");
  const size_t block = read.size(info[1], "block", 1);
  const Array<int32_t> words = read.ints(info[0], "words");
  const Array<int32_t> sums = read.ints(info[2], "sums");
  read.expectLength(words, read.product({block, sums.length}), "words");
  parallelFor(sums.length, words.length, 0,
              [&](size_t i, float*) { sums.data[i] = sumOf(words.data + i * block, block); });
}

}  // namespace

void exportMemoryFunctions(Napi::Env env, Napi::Object exports) {
  exports.Set("sumBlocks", Napi::Function::New(env, sumBlocks, "sumBlocks"));
}

}  // namespace nibblelens
