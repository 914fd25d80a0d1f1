// The thread pool under the thread sanitizer: every index once, loops from several threads at once, resizing between.
#include <atomic>
#include <memory>
#include <thread>

#include "decoder.h"
#include "kernels.h"
#include "support.h"
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

void matmulsAtOnce() {
  constexpr size_t kSize = 192;
  std::vector<float> values(kSize * kSize), x(kSize);
  Random random(3);
  for (float& value : values) value = random.real();
  for (float& value : x) value = random.real();
  const DenseMatrix w{kSize, kSize, FloatType::f32, values.data()};
  std::vector<float> expected(kSize);
  kernels().matmulDense(x.data(), 1, w, nullptr, expected.data());
  const auto caller = [&] {
    std::vector<float> y(kSize);
    for (int i = 0; i < 20; i++) {
      parallelFor(4, kWorth, 0, [](size_t, float*) {});
      kernels().matmulDense(x.data(), 1, w, nullptr, y.data());
      if (y != expected) std::abort();
    }
  };
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; i++) callers.emplace_back(caller);
  for (const int count : {2, 5, 1, 3}) setThreadCount(count);
  for (std::thread& thread : callers) thread.join();
}

}  // namespace

int main() {
  for (const int threads : {1, 2, 3, 8}) {
    setThreadCount(threads);
    for (const size_t count : {0, 1, 2, 7, 100, 1000}) {
      for (const size_t scratch : {0, 1, 50}) everyIndexOnce(count, scratch);
    }
  }
  for (int i = 0; i < 5; i++) matmulsAtOnce();
  setThreadCount(1);
  std::printf("thread pool: %d checks, %d failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
