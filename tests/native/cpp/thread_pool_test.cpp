// The thread pool and the decoder under the thread sanitizer: every index once, loops and decoder steps from several
// threads at once, resizing between, a step stopped from beside.
#include <thread>

#include "kernels.h"
#include "small_decoder.h"
#include "thread_pool.h"

using namespace nibblelens;

namespace {

constexpr size_t kWorth = size_t{1} << 30;

void everyIndexOnce(size_t count, size_t scratchFloats) {
  std::vector<int> visits(count, 0);
  parallelFor(count, kWorth, scratchFloats, [&](size_t index, float* scratch) {
    for (size_t i = 0; i < scratchFloats; i++) scratch[i] = static_cast<float>(index);
    visits[index]++;
    for (size_t i = 0; i < scratchFloats; i++) {
      if (scratch[i] != static_cast<float>(index)) visits[index] += 100;
    }
  });
  bool once = true;
  for (const int visit : visits) once = once && visit == 1;
  check(once, "every index once, " + std::to_string(count));
}

/** Products with packed and dense weights from several threads, beside loops of others. */
void matmulsAtOnce() {
  constexpr size_t kSize = 192, kRows = 3;
  std::vector<float> values(kSize * kSize), x(kRows * kSize);
  Random random(3);
  for (float& value : values) value = random.real();
  for (float& value : x) value = random.real();
  const Linear dense{false, {}, {kSize, kSize, FloatType::f32, values.data()}, nullptr};
  PackedArrays codes(randomMatrix({4, kSize, kSize, 32}, Rule::zeros, FloatType::f32, random));
  const Linear packed = codes.linear(nullptr);
  const auto multiply = [&](std::vector<float>& y) {
    y.resize(2 * kRows * kSize);
    const Linear* const linears[] = {&dense, &packed};
    float* const to[] = {y.data(), y.data() + kRows * kSize};
    kernels().matmul(x.data(), kRows, linears, 2, Mode::exact, to);
  };
  std::vector<float> expected;
  multiply(expected);
  const auto caller = [&] {
    std::vector<float> y;
    for (int i = 0; i < 20; i++) {
      parallelFor(4, kWorth, 0, [](size_t, float*) {});
      multiply(y);
      if (y != expected) std::abort();
    }
  };
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; i++) callers.emplace_back(caller);
  for (const int count : {2, 5, 1, 3}) setThreadCount(count);
  for (std::thread& thread : callers) thread.join();
}

/** A position after several chunks of keys, which the threads share: the same numbers as from one thread. */
void attentionInChunks() {
  constexpr size_t kPast = 2 * kAttentionChunk + 70;
  const AttentionSizes sizes{1, 1, 3, 1, 12, 1};
  Random random(9);
  const auto floats = [&](size_t count) {
    std::vector<float> values(count);
    for (float& value : values) value = random.real();
    return values;
  };
  const std::vector<float> page = floats(cachePageBytes(CacheType::f32, sizes) / sizeof(float));
  const std::vector<const void*> pages(kPast / kPagePositions + 1, page.data());
  const CachedPositions past{CacheType::f32, pages.data(), kPast, 0};
  const std::vector<float> q = floats(sizes.heads * sizes.dHead), k = floats(sizes.dHead), v = floats(sizes.dHead);
  std::vector<float> workspace(attentionWorkspace(sizes, kPast + 1)), expected;
  for (const int threads : {1, 2, 4, 7}) {
    setThreadCount(threads);
    std::vector<float> z(q.size());
    kernels().attention(q.data(), k.data(), v.data(), sizes, &past, kPast + 1, 0.3f, workspace.data(), z.data());
    if (threads == 1) expected = z;
    check(z == expected, "attention on " + std::to_string(threads) + " threads");
  }
}

/** Several sequences on one decoder, each from a thread of its own, as the main thread and the queue's are. */
void decodersAtOnce() {
  Random random(5);
  SmallDecoder model(Stored::packed, 2, true, random);
  const auto decode = [&](SmallCache& cache, const std::atomic<bool>* stop) {
    std::vector<float> logits(model.spec().vocabSize);
    DecoderStep step;
    step.batch = 1;
    step.logits = logits.data();
    step.stop = stop;
    for (size_t done = 0; done < SmallDecoder::kContext; done += step.pos) {
      step.pos = done == 0 ? SmallDecoder::kContext - 5 : 1;
      step.ids.assign(step.pos, static_cast<int32_t>(done % model.spec().vocabSize));
      step.sequences = {{cache.pages(), done}};
      (*model).run(step);
    }
    return logits;
  };
  SmallCache own(model, CacheType::int8), beside(model, CacheType::int8), stopped(model, CacheType::int8);
  const std::vector<float> expected = decode(own, nullptr);
  std::atomic<bool> stop{false};
  bool same = false;
  std::thread first([&] { same = decode(beside, nullptr) == expected; });
  std::thread second([&] { decode(stopped, &stop); });
  stop = true;
  check(decode(own, nullptr) == expected, "the same logits beside others");
  first.join();
  second.join();
  check(same, "the same logits on a thread of its own");
  (*model).bufferBytes();
}

}  // namespace

int main() {
  for (const int threads : {1, 2, 3, 8}) {
    setThreadCount(threads);
    for (const size_t count : std::initializer_list<size_t>{0, 1, 2, 7, 100, 1000}) {
      for (const size_t scratch : std::initializer_list<size_t>{0, 1, 50}) everyIndexOnce(count, scratch);
    }
  }
  for (int i = 0; i < 5; i++) {
    matmulsAtOnce();
    setThreadCount(2);
    decodersAtOnce();
  }
  attentionInChunks();
  setThreadCount(1);
  std::printf("threads: %d checks, %d failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
