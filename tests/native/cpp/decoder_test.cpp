// The fused decoder on small odd sizes, with guards around each buffer and every named point captured: a sequence in
// one step, in several, and in a batch gives the same, up to the rounding of kernels for few rows and for many. Built
// under the address and undefined-behaviour sanitizers.
#include <algorithm>

#include "kernels.h"
#include "small_decoder.h"
#include "thread_pool.h"

using namespace nibblelens;

namespace {

constexpr size_t kPositions = 66;

std::vector<int32_t> idsOf(size_t first, size_t count, size_t batch, size_t vocab) {
  std::vector<int32_t> ids;
  for (size_t b = 0; b < batch; b++) {
    for (size_t i = 0; i < count; i++) ids.push_back(static_cast<int32_t>((first + i) * 7 % vocab));
  }
  return ids;
}

/** Whether two lists differ by `relative` of the largest at most. */
bool close(const std::vector<float>& a, const std::vector<float>& b, double relative) {
  double size = 0;
  for (const float value : b) size = std::max(size, std::fabs(static_cast<double>(value)));
  for (size_t i = 0; i < a.size(); i++) {
    if (!near(a[i], b[i], relative * size)) return false;
  }
  return a.size() == b.size();
}

/** Logits [kPositions, vocab] of one sequence, or of each of `batch` equal ones, in steps of `most` positions. */
std::vector<float> run(SmallDecoder& model, CacheType type, size_t most, size_t batch) {
  const DecoderSpec& spec = model.spec();
  std::vector<std::unique_ptr<SmallCache>> caches;
  for (size_t b = 0; b < batch; b++) caches.push_back(std::make_unique<SmallCache>(model, type));
  std::vector<std::vector<float>> all(batch);
  for (size_t done = 0; done < kPositions;) {
    DecoderStep step;
    step.pos = std::min(most, kPositions - done);
    step.batch = batch;
    step.ids = idsOf(done, step.pos, batch, spec.vocabSize);
    for (const auto& cache : caches) step.sequences.push_back({cache->pages(), done});
    step.allLogits = true;
    const size_t perSequence = step.pos * spec.vocabSize;
    Guarded<float> logits(batch * perSequence, 1);
    step.logits = logits.data();
    std::vector<std::unique_ptr<Guarded<float>>> captured;
    for (const PointName& point : pointNames()) {
      const size_t layers = point.point >= Point::residPre ? spec.layers.size() : 1;
      for (size_t layer = 0; layer < layers; layer++) {
        captured.push_back(std::make_unique<Guarded<float>>(pointFloats(point.point, spec, step), 1));
        step.captures.push_back({point.point, layer, captured.back()->data()});
      }
    }
    check((*model).run(step), "a step that nobody stops ends");
    for (const auto& values : captured) {
      const float* from = values->data();
      check(std::none_of(from, from + values->size(), [](float value) { return std::isnan(value); }), "captures");
    }
    for (size_t b = 0; b < batch; b++) {
      const float* from = logits.data() + b * perSequence;
      all[b].insert(all[b].end(), from, from + perSequence);
    }
    // without captures, and of the last position alone: the step once more
    Guarded<float> last(batch * spec.vocabSize, 1);
    step.captures.clear();
    step.allLogits = false;
    step.logits = last.data();
    check((*model).run(step), "the step once more");
    for (size_t b = 0; b < batch; b++) {
      const float* from = logits.data() + (b + 1) * perSequence - spec.vocabSize;
      const float* again = last.data() + b * spec.vocabSize;
      check(close({from, from + spec.vocabSize}, {again, again + spec.vocabSize}, 1e-5), "logits of the last position");
    }
    done += step.pos;
  }
  for (const std::vector<float>& one : all) check(one == all[0], "equal sequences of a batch");
  return all[0];
}

void stops(SmallDecoder& model) {
  SmallCache cache(model, CacheType::f32);
  const int32_t abort = 1;
  const std::atomic<bool> stop{true};
  Guarded<float> logits(model.spec().vocabSize);
  DecoderStep step;
  step.batch = step.pos = 1;
  step.ids = {1};
  step.sequences = {{cache.pages(), 0}};
  step.logits = logits.data();
  step.abort = &abort;
  check(!(*model).run(step), "a step stops at JavaScript's flag");
  step.abort = nullptr;
  step.stop = &stop;
  check(!(*model).run(step), "a step stops at its thread's flag");
}

}  // namespace

int main() {
  for (const Kernels* table : availableKernels()) {
    useKernels(table->name);
    for (const Stored stored : {Stored::packed, Stored::f32, Stored::f16, Stored::bf16}) {
      for (const bool bias : {false, true}) {
        Random random(11);
        SmallDecoder model(stored, bias ? 1 : 2, bias, random);
        for (const CacheType type : {CacheType::f32, CacheType::f16, CacheType::int8}) {
          // a number that falls on the other side of a rounding moves by a step of its type
          const double bound = type == CacheType::f32 ? 1e-4 : type == CacheType::f16 ? 2e-3 : 5e-2;
          const std::vector<float> whole = run(model, type, kPositions, 1);
          for (const size_t most : std::initializer_list<size_t>{1, 5, 64}) {
            check(close(run(model, type, most, 1), whole, bound), "in steps");
          }
          check(close(run(model, type, 29, 3), whole, bound), "in a batch");
          check(run(model, type, 2, 1) == run(model, type, 3, 2), "in steps of few rows, and in a batch");
        }
        stops(model);
      }
    }
  }
  setThreadCount(1);
  std::printf("decoder: %d checks, %d failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
