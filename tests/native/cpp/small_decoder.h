// A decoder of small odd sizes with random weights, all between guards.
#pragma once

#include <memory>

#include "cache_rows.h"
#include "decoder.h"
#include "packed_matrix.h"

namespace nibblelens {

/** How the weights are stored; the embedding is as the layers, or float32 where those are packed. */
enum class Stored { packed, f32, f16, bf16 };

class SmallDecoder {
 public:
  static constexpr size_t kContext = 70;

  SmallDecoder(Stored stored, size_t layers, bool bias, Random& random) : stored_(stored), random_(random) {
    DecoderSpec spec;
    spec.dModel = 20;
    spec.heads = 2;
    spec.kvHeads = 1;
    spec.dHead = 6;
    spec.dFf = 33;
    spec.vocabSize = 17;
    spec.contextLength = kContext;
    spec.rmsNormEps = 1e-5f;
    spec.attentionScale = 0.4f;
    const size_t width = spec.heads * spec.dHead;
    spec.embedding = {false, {}, dense(spec.vocabSize, spec.dModel), nullptr};
    for (size_t i = 0; i < layers; i++) {
      spec.layers.push_back({floats(spec.dModel), linear(width, spec.dModel, bias),
                             linear(spec.dHead, spec.dModel, bias), linear(spec.dHead, spec.dModel, bias),
                             linear(spec.dModel, width, bias), floats(spec.dModel),
                             linear(spec.dFf, spec.dModel, bias), linear(spec.dFf, spec.dModel, bias),
                             linear(spec.dModel, spec.dFf, bias)});
    }
    spec.finalNorm = floats(spec.dModel);
    spec.lmHead = linear(spec.vocabSize, spec.dModel, bias);
    spec.cos = floats(kContext * spec.dHead / 2);
    spec.sin = floats(kContext * spec.dHead / 2);
    decoder_ = std::make_unique<Decoder>(spec);
  }

  Decoder& operator*() { return *decoder_; }
  const DecoderSpec& spec() const { return decoder_->spec(); }
  size_t pageBytes(CacheType type) const {
    return cachePageBytes(type, {1, 1, spec().heads, spec().kvHeads, spec().dHead, spec().layers.size()});
  }

 private:
  template <typename T>
  Guarded<T>& keep(size_t count) {
    const auto array = std::make_shared<Guarded<T>>(count, 1);
    kept_.push_back(array);
    return *array;
  }

  const float* floats(size_t count) {
    Guarded<float>& values = keep<float>(count);
    fill(values, random_);
    return values.data();
  }

  DenseMatrix dense(size_t out, size_t in) {
    if (stored_ == Stored::packed || stored_ == Stored::f32) return {out, in, FloatType::f32, floats(out * in)};
    Guarded<uint16_t>& bits = keep<uint16_t>(out * in);
    const bool half = stored_ == Stored::f16;
    // magnitudes below 1 in either format
    for (size_t i = 0; i < bits.size(); i++) {
      const size_t magnitude = half ? random_.below(0x3c00) : 0x3d00 + random_.below(0x200);
      bits[i] = static_cast<uint16_t>(magnitude | random_.below(2) << 15);
    }
    return {out, in, half ? FloatType::f16 : FloatType::bf16, bits.data()};
  }

  Linear linear(size_t out, size_t in, bool bias) {
    const float* const own = bias ? floats(out) : nullptr;
    if (stored_ != Stored::packed) return {false, {}, dense(out, in), own};
    const auto arrays =
        std::make_shared<PackedArrays>(randomMatrix({4, out, in, 32}, Rule::middle, FloatType::f32, random_), 1);
    kept_.push_back(arrays);
    return arrays->linear(own);
  }

  const Stored stored_;
  Random& random_;
  std::vector<std::shared_ptr<void>> kept_;
  std::unique_ptr<Decoder> decoder_;
};

/** The pages of one sequence, with room for the whole context. */
class SmallCache {
 public:
  SmallCache(const SmallDecoder& model, CacheType type)
      : type_(type), first_(model.pageBytes(type), 4), second_(model.pageBytes(type), 4) {}
  CachePages pages() { return {type_, {first_.data(), second_.data()}}; }

 private:
  const CacheType type_;
  Guarded<uint8_t> first_, second_;
};

}  // namespace nibblelens
