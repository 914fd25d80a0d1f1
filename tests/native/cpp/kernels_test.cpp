// Every kernel of every instruction set on small matrices of many odd sizes, against plain float64 loops, with guards
// around each buffer. Built under the address and undefined-behaviour sanitizers.
#include <algorithm>

#include "decoder.h"
#include "kernels.h"
#include "support.h"
#include "thread_pool.h"

using namespace nibblelens;

namespace {

const Kernels* table = nullptr;

std::string at(const char* kernel, std::initializer_list<size_t> sizes) {
  std::string text = std::string(table->name) + " " + kernel;
  for (const size_t size : sizes) text += " " + std::to_string(size);
  return text;
}

enum class Rule { eight, zeros, offsets };

void packedMatmul(size_t out, size_t in, size_t groupSize, size_t rows, Rule rule, bool half, Random& random) {
  const size_t groups = (in - 1) / groupSize + 1;
  const size_t rowBytes = (in + 31) / 32 * 16;
  const size_t shift = random.below(3);
  Guarded<uint8_t> codes(out * rowBytes, shift);
  Guarded<uint8_t> zeros(out * groups, shift);
  Guarded<uint16_t> halfScales(out * groups, shift), halfOffsets(out * groups, shift);
  Guarded<float> scales(out * groups, shift), offsets(out * groups, shift);
  Guarded<float> x(rows * in, shift), bias(out, shift), y(rows * out, shift);
  Guarded<float> dy(rows * out, shift), dx(rows * in, shift);
  for (size_t i = 0; i < codes.size(); i++) {
    const size_t k = i % rowBytes * 2;
    codes[i] = static_cast<uint8_t>((k < in ? random.below(16) : 0) | (k + 1 < in ? random.below(16) : 0) << 4);
  }
  for (size_t i = 0; i < out * groups; i++) {
    zeros[i] = static_cast<uint8_t>(random.below(16));
    halfScales[i] = static_cast<uint16_t>(random.below(0x4000));
    halfOffsets[i] = static_cast<uint16_t>(random.below(0x4000) | random.below(2) << 15);
    scales[i] = half ? static_cast<float>(halfValue(halfScales[i])) : random.real();
    offsets[i] = half ? static_cast<float>(halfValue(halfOffsets[i])) : random.real();
  }
  fill(x, random);
  fill(bias, random);
  fill(dy, random);
  PackedMatrix w;
  w.outFeatures = out;
  w.inFeatures = in;
  w.groupSize = groupSize;
  w.groups = groups;
  w.rowBytes = rowBytes;
  w.codes = codes.data();
  w.scales = half ? static_cast<const void*>(halfScales.data()) : scales.data();
  w.scaleType = half ? FloatType::f16 : FloatType::f32;
  if (rule == Rule::zeros) w.zeros = zeros.data();
  if (rule == Rule::offsets) w.offsets = half ? static_cast<const void*>(halfOffsets.data()) : offsets.data();

  const auto weight = [&](size_t n, size_t k) {
    const int code = codes[n * rowBytes + k / 2] >> (k % 2 * 4) & 15;
    const size_t index = n * groups + k / groupSize;
    if (rule == Rule::offsets) return static_cast<double>(code) * scales[index] + offsets[index];
    return (code - (rule == Rule::zeros ? zeros[index] : 8)) * static_cast<double>(scales[index]);
  };
  table->matmulPacked(x.data(), rows, w, bias.data(), y.data());
  for (size_t r = 0; r < rows; r++) {
    for (size_t n = 0; n < out; n++) {
      double expected = bias[n];
      double size = std::fabs(bias[n]);
      for (size_t k = 0; k < in; k++) {
        const double term = weight(n, k) * x[r * in + k];
        expected += term;
        size += std::fabs(term);
      }
      check(near(y[r * out + n], expected, 1e-5 * size), at("matmulPacked", {out, in, groupSize, rows, r, n}));
    }
    Guarded<float> single(out);
    table->matmulPacked(x.data() + r * in, 1, w, bias.data(), single.data());
    check(std::memcmp(single.data(), y.data() + r * out, out * sizeof(float)) == 0,
          at("matmulPacked: one row alone", {out, in, groupSize, rows, r}));
  }
  table->matmulPackedGradient(dy.data(), rows, w, dx.data());
  for (size_t r = 0; r < rows; r++) {
    for (size_t k = 0; k < in; k++) {
      double expected = 0;
      double size = 0;
      for (size_t n = 0; n < out; n++) {
        const double term = weight(n, k) * dy[r * out + n];
        expected += term;
        size += std::fabs(term);
      }
      check(near(dx[r * in + k], expected, 1e-5 * size), at("matmulPackedGradient", {out, in, groupSize, rows, r, k}));
    }
  }
}

void denseMatmul(size_t out, size_t in, size_t rows, FloatType type, Random& random) {
  const size_t shift = random.below(3);
  Guarded<float> wide(out * in, shift), x(rows * in, shift), y(rows * out, shift), dx(rows * in, shift);
  Guarded<uint16_t> narrow(out * in, shift);
  for (size_t i = 0; i < out * in; i++) {
    narrow[i] = static_cast<uint16_t>((type == FloatType::f16 ? random.below(0x4000) : 0x3000 + random.below(0x1000)) |
                                      random.below(2) << 15);
    const uint32_t bits = static_cast<uint32_t>(narrow[i]) << 16;
    float brain;
    std::memcpy(&brain, &bits, sizeof brain);
    const float half = static_cast<float>(halfValue(narrow[i]));
    wide[i] = type == FloatType::f32 ? random.real() : type == FloatType::f16 ? half : brain;
  }
  fill(x, random);
  DenseMatrix w{out, in, type, type == FloatType::f32 ? static_cast<const void*>(wide.data()) : narrow.data()};
  table->matmulDense(x.data(), rows, w, nullptr, y.data());
  for (size_t r = 0; r < rows; r++) {
    for (size_t n = 0; n < out; n++) {
      double expected = 0;
      double size = 0;
      for (size_t k = 0; k < in; k++) {
        expected += static_cast<double>(wide[n * in + k]) * x[r * in + k];
        size += std::fabs(static_cast<double>(wide[n * in + k]) * x[r * in + k]);
      }
      check(near(y[r * out + n], expected, 1e-5 * size), at("matmulDense", {out, in, rows, r, n}));
    }
    Guarded<float> single(out);
    table->matmulDense(x.data() + r * in, 1, w, nullptr, single.data());
    check(std::memcmp(single.data(), y.data() + r * out, out * sizeof(float)) == 0,
          at("matmulDense: one row alone", {out, in, rows, r}));
  }
  table->matmulDenseGradient(y.data(), rows, w, dx.data());
  for (size_t i = 0; i < dx.size(); i++) check(std::isfinite(dx[i]), at("matmulDenseGradient", {out, in, rows, i}));

  Guarded<int32_t> ids(3, shift);
  Guarded<float> chosen(3 * in, shift);
  for (size_t i = 0; i < 3; i++) ids[i] = static_cast<int32_t>(random.below(out));
  table->embedding(ids.data(), 3, w, chosen.data());
  for (size_t i = 0; i < 3 * in; i++) {
    check(chosen[i] == wide[static_cast<size_t>(ids[i / in]) * in + i % in], at("embedding", {out, in, i}));
  }
}

void rowKernels(size_t rows, size_t columns, Random& random) {
  const size_t count = rows * columns;
  const size_t shift = random.below(3);
  Guarded<float> a(count, shift), b(count, shift), c(count, shift), y(count, shift), z(count, shift);
  Guarded<float> gain(columns, shift), scale(rows, shift);
  fill(a, random);
  fill(b, random);
  fill(c, random);
  fill(gain, random);
  table->add(a.data(), b.data(), count, y.data());
  for (size_t i = 0; i < count; i++) check(y[i] == a[i] + b[i], at("add", {count, i}));
  table->swiglu(a.data(), b.data(), count, y.data());
  for (size_t i = 0; i < count; i++) {
    check(near(y[i], a[i] / (1 + std::exp(-static_cast<double>(a[i]))) * b[i], 1e-6), at("swiglu", {count, i}));
  }
  table->swigluGradient(a.data(), b.data(), c.data(), count, y.data(), z.data());
  table->rmsNormScale(a.data(), rows, columns, 1e-5f, scale.data());
  table->divideRows(a.data(), rows, columns, scale.data(), y.data());
  table->multiplyColumns(y.data(), rows, columns, gain.data(), z.data());
  table->rmsNorm(a.data(), rows, columns, gain.data(), 1e-5f, y.data());
  check(std::memcmp(y.data(), z.data(), count * sizeof(float)) == 0, at("rmsNorm is its parts", {rows, columns}));
  for (size_t r = 0; r < rows; r++) {
    double squares = 0;
    for (size_t k = 0; k < columns; k++) squares += static_cast<double>(a[r * columns + k]) * a[r * columns + k];
    const double expected = std::sqrt(squares / static_cast<double>(columns) + 1e-5);
    check(near(scale[r], expected, 1e-6 * expected), at("rmsNormScale", {rows, columns, r}));
  }
  table->rmsNormGradient(a.data(), rows, columns, gain.data(), 1e-5f, b.data(), y.data());
  table->softmax(a.data(), rows, columns, y.data());
  for (size_t r = 0; r < rows; r++) {
    double total = 0;
    for (size_t k = 0; k < columns; k++) total += std::exp(static_cast<double>(a[r * columns + k]));
    for (size_t k = 0; k < columns; k++) {
      const double expected = std::exp(static_cast<double>(a[r * columns + k])) / total;
      check(near(y[r * columns + k], expected, 2e-6 * expected), at("softmax", {rows, columns, r, k}));
    }
  }
  table->softmaxGradient(y.data(), rows, columns, b.data(), z.data());

  const size_t half = columns;
  Guarded<float> x(rows * 2 * half, shift), turned(rows * 2 * half, shift), back(rows * 2 * half, shift);
  Guarded<float> cos(3 * half, shift), sin(3 * half, shift);
  Guarded<int32_t> positions(rows, shift);
  fill(x, random);
  for (size_t i = 0; i < 3 * half; i++) {
    const double angle = random.real();
    cos[i] = static_cast<float>(std::cos(angle));
    sin[i] = static_cast<float>(std::sin(angle));
  }
  for (size_t r = 0; r < rows; r++) positions[r] = static_cast<int32_t>(random.below(3));
  table->rope(x.data(), rows, 1, 2 * half, positions.data(), cos.data(), sin.data(), 1, turned.data());
  table->rope(turned.data(), rows, 1, 2 * half, positions.data(), cos.data(), sin.data(), -1, back.data());
  for (size_t i = 0; i < x.size(); i++) check(near(back[i], x[i], 1e-6), at("rope there and back", {rows, half, i}));
}

void exponential() {
  constexpr size_t kCount = 20001;
  Guarded<float> x(kCount, 1), y(kCount, 1);
  for (size_t i = 0; i < kCount; i++) x[i] = -110.0f + 0.01f * static_cast<float>(i);
  table->exponential(x.data(), kCount, y.data());
  double worst = 0;
  for (size_t i = 0; i < kCount; i++) {
    const double expected = std::exp(static_cast<double>(x[i]));
    if (expected > 3.4e38) {
      check(std::isinf(y[i]) || expected < 3.5e38, at("exponential overflows", {i}));
    } else {
      const double unit = std::ldexp(1.0, std::max(std::ilogb(expected), -126) - 23);
      worst = std::max(worst, std::fabs(y[i] - expected) / unit);
    }
  }
  check(worst <= 2, at("exponential's error in units of the last place", {static_cast<size_t>(worst * 1000)}));
  Guarded<float> special(5), result(5);
  const float values[] = {-INFINITY, INFINITY, NAN, 0.0f, -1e30f};
  for (size_t i = 0; i < 5; i++) special[i] = values[i];
  table->exponential(special.data(), 5, result.data());
  check(result[0] == 0 && std::isinf(result[1]) && std::isnan(result[2]) && result[3] == 1 && result[4] == 0,
        at("exponential of special values", {}));
}

/** Attention over cache pages and this call's keys, joined and in parts, and for a sequence in one call or in two. */
void attention(size_t pos, size_t pastLength, size_t kvHeads, size_t group, size_t dHead, Random& random) {
  const size_t shift = random.below(3);
  const AttentionSizes sizes{1, pos, kvHeads * group, kvHeads, dHead, 2};
  const size_t keys = pos + pastLength;
  const size_t queryFloats = pos * sizes.heads * dHead;
  const size_t keyFloats = pos * kvHeads * dHead;
  Guarded<float> q(queryFloats, shift), k(keyFloats, shift), v(keyFloats, shift), z(queryFloats, shift),
      joined(queryFloats, shift), scores(sizes.heads * pos * keys, shift), pattern(sizes.heads * pos * keys, shift);
  fill(q, random);
  fill(k, random);
  fill(v, random);
  std::vector<std::unique_ptr<Guarded<float>>> storage;
  std::vector<const float*> pages;
  for (size_t first = 0; first < pastLength; first += kPagePositions) {
    storage.push_back(std::make_unique<Guarded<float>>(sizes.pageFloats(), shift));
    fill(*storage.back(), random);
    pages.push_back(storage.back()->data());
  }
  const CachedPositions past{pages.data(), pastLength, 1};
  const auto rowOf = [&](size_t kind, size_t head, size_t key) -> const float* {
    if (key >= pastLength) return (kind ? v : k).data() + ((key - pastLength) * kvHeads + head) * dHead;
    const size_t block = (2 + kind) * kvHeads + head;
    return pages[key / kPagePositions] + (block * kPagePositions + key % kPagePositions) * dHead;
  };

  table->attentionScores(q.data(), k.data(), sizes, &past, keys, 0.3f, scores.data());
  table->softmax(scores.data(), sizes.heads * pos, keys, pattern.data());
  table->attentionMix(pattern.data(), v.data(), sizes, &past, keys, z.data());
  table->attention(q.data(), k.data(), v.data(), sizes, &past, keys, 0.3f, joined.data());
  check(std::memcmp(z.data(), joined.data(), queryFloats * sizeof(float)) == 0,
        at("attention is its parts", {pos, pastLength, kvHeads, group, dHead}));
  for (size_t head = 0; head < sizes.heads; head++) {
    for (size_t t = 0; t < pos; t++) {
      const size_t seen = pastLength + t + 1;
      std::vector<double> weights(seen);
      double total = 0;
      for (size_t key = 0; key < seen; key++) {
        double dot = 0;
        for (size_t i = 0; i < dHead; i++) {
          dot += static_cast<double>(q[(t * sizes.heads + head) * dHead + i]) * rowOf(0, head / group, key)[i];
        }
        total += weights[key] = std::exp(0.3 * dot);
      }
      for (size_t i = 0; i < dHead; i++) {
        double expected = 0;
        for (size_t key = 0; key < seen; key++) expected += weights[key] / total * rowOf(1, head / group, key)[i];
        check(near(joined[(t * sizes.heads + head) * dHead + i], expected, 1e-5),
              at("attention", {pos, pastLength, kvHeads, group, dHead, head, t, i}));
      }
      for (size_t key = seen; key < keys; key++) {
        check(pattern[(head * pos + t) * keys + key] == 0, at("later keys", {pos, pastLength, head, t, key}));
      }
    }
  }
  if (pastLength == 0) {
    Guarded<float> dq(queryFloats, shift), dk(keyFloats, shift), dpattern(pattern.size(), shift), dv(keyFloats, shift);
    table->attentionScoresGradient(pattern.data(), q.data(), k.data(), sizes, 0.3f, dq.data(), dk.data());
    table->attentionMixGradient(z.data(), pattern.data(), v.data(), sizes, dpattern.data(), dv.data());
    for (size_t i = 0; i < keyFloats; i++) check(std::isfinite(dk[i]) && std::isfinite(dv[i]), at("gradients", {i}));
  }
}

/** A whole decoder of one packed layer: two steps of one position each give the bits of one step of two. */
void decoder(Random& random) {
  constexpr size_t kModel = 20, kHeads = 2, kHead = 6, kFf = 33, kVocab = 17, kContext = 70;
  std::vector<std::unique_ptr<Guarded<float>>> floats;
  std::vector<std::unique_ptr<Guarded<uint8_t>>> bytes;
  const auto makeFloats = [&](size_t count) {
    floats.push_back(std::make_unique<Guarded<float>>(count, 1));
    fill(*floats.back(), random);
    return floats.back()->data();
  };
  const auto linear = [&](size_t out, size_t in) {
    Linear weights;
    weights.isPacked = true;
    weights.packed.outFeatures = out;
    weights.packed.inFeatures = in;
    weights.packed.groupSize = 16;
    weights.packed.groups = (in + 15) / 16;
    weights.packed.rowBytes = (in + 31) / 32 * 16;
    bytes.push_back(std::make_unique<Guarded<uint8_t>>(out * weights.packed.rowBytes, 1));
    for (size_t i = 0; i < bytes.back()->size(); i++) (*bytes.back())[i] = static_cast<uint8_t>(random.bits());
    weights.packed.codes = bytes.back()->data();
    weights.packed.scales = makeFloats(out * weights.packed.groups);
    return weights;
  };
  DecoderSpec spec;
  spec.dModel = kModel;
  spec.heads = kHeads;
  spec.kvHeads = 1;
  spec.dHead = kHead;
  spec.dFf = kFf;
  spec.vocabSize = kVocab;
  spec.contextLength = kContext;
  spec.rmsNormEps = 1e-5f;
  spec.attentionScale = 0.4f;
  spec.embedding = {kVocab, kModel, FloatType::f32, makeFloats(kVocab * kModel)};
  spec.layers.push_back({makeFloats(kModel), linear(kHeads * kHead, kModel), linear(kHead, kModel),
                         linear(kHead, kModel), linear(kModel, kHeads * kHead), makeFloats(kModel), linear(kFf, kModel),
                         linear(kFf, kModel), linear(kModel, kFf)});
  spec.finalNorm = makeFloats(kModel);
  spec.lmHead = linear(kVocab, kModel);
  spec.cos = makeFloats(kContext * kHead / 2);
  spec.sin = makeFloats(kContext * kHead / 2);
  Decoder model(spec);

  constexpr size_t kPage = 2 * kPagePositions * kHead;
  const auto sequence = [&](size_t count) {
    Guarded<float> first(kPage, 1), second(kPage, 1), logits(count * kVocab, 1);
    std::vector<float> all;
    for (size_t done = 0; done < 66;) {
      const size_t pos = std::min<size_t>(count, 66 - done);
      std::vector<int32_t> ids(pos);
      for (size_t i = 0; i < pos; i++) ids[i] = static_cast<int32_t>((done + i) * 7 % kVocab);
      DecoderStep step;
      step.ids = ids.data();
      step.batch = 1;
      step.pos = pos;
      step.sequences = {{{first.data(), second.data()}, done}};
      step.logits = logits.data();
      step.allLogits = true;
      std::vector<std::unique_ptr<Guarded<float>>> captured;
      for (const PointName& point : pointNames()) {
        captured.push_back(std::make_unique<Guarded<float>>(pointFloats(point.point, spec, step), 1));
        step.captures.push_back({point.point, 0, captured.back()->data()});
      }
      check(model.run(step), at("decoder", {pos, done}));
      all.insert(all.end(), logits.data(), logits.data() + pos * kVocab);
      done += pos;
    }
    return all;
  };
  const std::vector<float> whole = sequence(66);
  for (const size_t count : {1, 5}) {
    const std::vector<float> parts = sequence(count);
    check(std::memcmp(parts.data(), whole.data(), whole.size() * sizeof(float)) == 0, at("decoder in chunks", {count}));
  }
}

}  // namespace

int main() {
  for (const Kernels* tableNow : availableKernels()) {
    table = tableNow;
    useKernels(table->name);
    Random random(7);
    for (const size_t in : {1, 2, 7, 8, 9, 31, 32, 33, 63, 64, 65, 96, 129, 257, 300}) {
      for (const size_t groupSize : {1, 3, 16, 32, 64, 128, 300}) {
        for (const Rule rule : {Rule::eight, Rule::zeros, Rule::offsets}) {
          const size_t out = 1 + random.below(20);
          packedMatmul(out, in, std::min(groupSize, in), 1 + random.below(7), rule, random.below(2) == 0, random);
        }
      }
      for (const FloatType type : {FloatType::f32, FloatType::f16, FloatType::bf16}) {
        denseMatmul(1 + random.below(20), in, 1 + random.below(7), type, random);
      }
      rowKernels(1 + random.below(5), in, random);
    }
    packedMatmul(40, 544, 32, 135, Rule::zeros, true, random);
    packedMatmul(40, 544, 544, 70, Rule::eight, false, random);
    exponential();
    for (const size_t dHead : {1, 2, 8, 12, 33, 64, 70}) {
      for (const size_t pastLength : {0, 1, 63, 64, 65, 130}) {
        attention(1 + random.below(9), pastLength, 1 + random.below(2), 1 + random.below(3), dHead, random);
      }
    }
    decoder(random);
  }
  setThreadCount(1);
  std::printf("kernels: %d checks, %d failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
