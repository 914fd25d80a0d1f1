// Every kernel but products, of every instruction set, on arrays of many odd sizes: against plain float64 loops, with
// guards around each buffer. Built under the address and undefined-behaviour sanitizers.
#include <algorithm>
#include <memory>

#include "cache_rows.h"
#include "each_set.h"

using namespace nibblelens;

namespace {

void elementKernels(size_t count, Random& random) {
  const size_t shift = random.below(3);
  Guarded<float> a(count, shift), b(count, shift), c(count, shift), y(count, shift), z(count, shift);
  fill(a, random);
  fill(b, random);
  fill(c, random);
  table->add(a.data(), b.data(), count, y.data());
  for (size_t i = 0; i < count; i++) check(y[i] == a[i] + b[i], at("add", {count, i}));
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  table->swiglu(a.data(), b.data(), count, y.data());
  for (size_t i = 0; i < count; i++) check(near(y[i], a[i] * sigmoid(a[i]) * b[i], 1e-6), at("swiglu", {count, i}));
  table->swigluGradient(a.data(), b.data(), c.data(), count, y.data(), z.data());
  for (size_t i = 0; i < count; i++) {
    const double s = sigmoid(a[i]);
    check(near(y[i], c[i] * b[i] * s * (1 + a[i] * (1 - s)), 1e-6), at("swigluGradient: dgate", {count, i}));
    check(near(z[i], c[i] * a[i] * s, 1e-6), at("swigluGradient: dup", {count, i}));
  }
}

void normKernels(size_t rows, size_t columns, Random& random) {
  const size_t count = rows * columns;
  const size_t shift = random.below(3);
  Guarded<float> x(count, shift), dy(count, shift), y(count, shift), z(count, shift), dx(count, shift);
  Guarded<float> gain(columns, shift), scale(rows, shift);
  fill(x, random);
  fill(dy, random);
  fill(gain, random);
  table->rmsNormScale(x.data(), rows, columns, 1e-5f, scale.data());
  table->divideRows(x.data(), rows, columns, scale.data(), y.data());
  table->multiplyColumns(y.data(), rows, columns, gain.data(), z.data());
  table->rmsNorm(x.data(), rows, columns, gain.data(), 1e-5f, y.data());
  check(std::memcmp(y.data(), z.data(), count * sizeof(float)) == 0, at("rmsNorm is its parts", {rows, columns}));
  table->rmsNormGradient(x.data(), rows, columns, gain.data(), 1e-5f, dy.data(), dx.data());
  for (size_t r = 0; r < rows; r++) {
    const size_t start = r * columns;
    double squares = 0;
    double along = 0;
    for (size_t i = start; i < start + columns; i++) {
      squares += static_cast<double>(x[i]) * x[i];
      along += static_cast<double>(gain[i - start]) * dy[i] * x[i];
    }
    const double expected = std::sqrt(squares / static_cast<double>(columns) + 1e-5);
    check(near(scale[r], expected, 1e-6 * expected), at("rmsNormScale", {rows, columns, r}));
    for (size_t i = start; i < start + columns; i++) {
      const double g = gain[i - start];
      check(near(y[i], x[i] / expected * g, 1e-6 / expected), at("rmsNorm", {rows, columns, i}));
      const double slope = g * dy[i] / expected - x[i] * along / static_cast<double>(columns) / std::pow(expected, 3);
      check(near(dx[i], slope, 1e-5 / expected), at("rmsNormGradient", {rows, columns, i}));
    }
  }
}

void softmaxKernels(size_t rows, size_t columns, Random& random) {
  const size_t count = rows * columns;
  const size_t shift = random.below(3);
  Guarded<float> x(count, shift), y(count, shift), dy(count, shift), dx(count, shift);
  fill(x, random);
  fill(dy, random);
  table->softmax(x.data(), rows, columns, y.data());
  table->softmaxGradient(y.data(), rows, columns, dy.data(), dx.data());
  for (size_t start = 0; start < count; start += columns) {
    double total = 0;
    double mean = 0;
    for (size_t i = start; i < start + columns; i++) total += std::exp(static_cast<double>(x[i]));
    for (size_t i = start; i < start + columns; i++) mean += std::exp(static_cast<double>(x[i])) / total * dy[i];
    for (size_t i = start; i < start + columns; i++) {
      const double expected = std::exp(static_cast<double>(x[i])) / total;
      check(near(y[i], expected, 2e-6 * expected), at("softmax", {rows, columns, i}));
      check(near(dx[i], expected * (dy[i] - mean), 1e-5 * expected), at("softmaxGradient", {rows, columns, i}));
    }
  }
}

void rope(size_t rows, size_t heads, size_t half, Random& random) {
  const size_t shift = random.below(3);
  const size_t count = rows * heads * 2 * half;
  Guarded<float> x(count, shift), turned(count, shift), back(count, shift);
  Guarded<float> cos(3 * half, shift), sin(3 * half, shift);
  Guarded<int32_t> positions(rows, shift);
  fill(x, random);
  for (size_t i = 0; i < 3 * half; i++) {
    const double angle = random.real();
    cos[i] = static_cast<float>(std::cos(angle));
    sin[i] = static_cast<float>(std::sin(angle));
  }
  for (size_t r = 0; r < rows; r++) positions[r] = static_cast<int32_t>(random.below(3));
  table->rope(x.data(), rows, heads, 2 * half, positions.data(), cos.data(), sin.data(), 1, turned.data());
  table->rope(turned.data(), rows, heads, 2 * half, positions.data(), cos.data(), sin.data(), -1, back.data());
  for (size_t i = 0; i < count; i++) {
    const size_t pair = i % half;
    const size_t angle = static_cast<size_t>(positions[i / (heads * 2 * half)]) * half + pair;
    const bool second = i % (2 * half) >= half;
    const double other = second ? x[i - half] : -x[i + half];
    const double expected = static_cast<double>(x[i]) * cos[angle] + other * sin[angle];
    check(near(turned[i], expected, 1e-6), at("rope", {rows, half, i}));
    check(near(back[i], x[i], 1e-6), at("rope there and back", {rows, half, i}));
  }
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

/** Float16 values come back as they were, and what lies between two of them goes to the nearest, or to the even one. */
void float16Rounding() {
  for (uint16_t bits = 0; bits < 0x7bff; bits++) {
    const float low = f16ToFloat(bits);
    const float high = f16ToFloat(static_cast<uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;
    const uint16_t even = static_cast<uint16_t>(bits + (bits & 1));
    check(floatToF16(low) == bits && floatToF16(-low) == (bits | 0x8000), at("float16 of a float16", {bits}));
    check(floatToF16(middle) == even, at("float16 of a tie", {bits}));
    check(floatToF16(std::nextafterf(middle, 0)) == bits, at("float16 below a tie", {bits}));
    check(floatToF16(std::nextafterf(middle, 1e9f)) == bits + 1, at("float16 above a tie", {bits}));
  }
  check(floatToF16(65520.0f) == 0x7c00 && floatToF16(65519.9f) == 0x7bff, at("float16 overflows", {}));
  check(floatToF16(INFINITY) == 0x7c00 && floatToF16(NAN) == 0x7e00, at("float16 of no number", {}));
}

/** Int8 rows come back within max|x| / 253, tiny ones as zeros, and those with what is no number as NaN. */
void int8Rounding(Random& random) {
  constexpr size_t kCount = 37;
  Guarded<float> x(kCount, 1), y(kCount, 1);
  for (int power = -60; power < 60; power++) {
    float most = 0;
    for (size_t i = 0; i < kCount; i++) {
      x[i] = std::ldexp(random.real(), power);
      most = std::max(most, std::fabs(x[i]));
    }
    roundToCache(CacheType::int8, x.data(), kCount, y.data());
    for (size_t i = 0; i < kCount; i++) check(near(y[i], x[i], most / 253), at("int8", {i}));
  }
  for (size_t i = 0; i < kCount; i++) x[i] = 1e-45f;
  roundToCache(CacheType::int8, x.data(), kCount, y.data());
  check(y[0] == 0, at("int8 of tiny numbers", {}));
  x[3] = INFINITY;
  roundToCache(CacheType::int8, x.data(), kCount, y.data());
  check(std::isnan(y[0]), at("int8 of no number", {}));
}

/** A call's past: pages of each sequence, of lengths that fall by 7 from one to the next. */
struct Past {
  const AttentionSizes& sizes;
  std::vector<std::unique_ptr<Guarded<uint8_t>>> storage;
  std::vector<std::vector<const void*>> pages;
  std::vector<CachedPositions> sequences;
  /** [layer][kind][kv_head][positions][d_head] of each page, as it is to be read. */
  std::vector<std::vector<std::vector<float>>> values;

  Past(const AttentionSizes& given, CacheType type, size_t longest, size_t shift, Random& random)
      : sizes(given), pages(given.batch), values(given.batch) {
    const size_t elementBytes = type == CacheType::f32 ? 4 : type == CacheType::f16 ? 2 : 1;
    for (size_t b = 0; b < sizes.batch; b++) {
      const size_t length = longest - std::min(longest, 7 * b);
      for (size_t first = 0; first < length; first += kPagePositions) {
        storage.push_back(std::make_unique<Guarded<uint8_t>>(cachePageBytes(type, sizes), shift * elementBytes));
        values[b].push_back(fillPage(type, storage.back()->data(), random));
        pages[b].push_back(storage.back()->data());
      }
      sequences.push_back({type, pages[b].data(), length, 1});
    }
  }

  const float* row(size_t b, size_t kind, size_t kvHead, size_t key) const {
    const size_t block = (sequences[b].layer * 2 + kind) * sizes.kvHeads + kvHead;
    const std::vector<float>& page = values[b][key / kPagePositions];
    return page.data() + (block * kPagePositions + key % kPagePositions) * sizes.dHead;
  }

 private:
  std::vector<float> fillPage(CacheType type, uint8_t* page, Random& random) const {
    const size_t dHead = sizes.dHead;
    std::vector<float> read(sizes.layers * 2 * sizes.kvHeads * kPagePositions * dHead);
    for (size_t row = 0; row < read.size() / dHead; row++) {
      float* to = read.data() + row * dHead;
      for (size_t i = 0; i < dHead; i++) to[i] = random.real();
      uint8_t* block = page + row / kPagePositions * cacheBlockBytes(type, dHead);
      writeCacheRow(type, to, dHead, row % kPagePositions, block);
      const std::vector<float> exact(to, to + dHead);
      roundToCache(type, exact.data(), dHead, to);
    }
    return read;
  }
};

/** Attention over cache pages and this call's keys, joined and in parts, and the parts' gradients. */
void attention(size_t batch, size_t pos, CacheType type, size_t longest, size_t kvHeads, size_t group, size_t dHead,
               Random& random) {
  const size_t shift = random.below(3);
  const AttentionSizes sizes{batch, pos, kvHeads * group, kvHeads, dHead, 2};
  const size_t heads = sizes.heads;
  const size_t keys = pos + longest;
  const size_t queryFloats = batch * pos * heads * dHead;
  const size_t keyFloats = batch * pos * kvHeads * dHead;
  const size_t patternFloats = batch * heads * pos * keys;
  Guarded<float> q(queryFloats, shift), k(keyFloats, shift), v(keyFloats, shift), z(queryFloats, shift),
      joined(queryFloats, shift), scores(patternFloats, shift), pattern(patternFloats, shift);
  fill(q, random);
  fill(k, random);
  fill(v, random);
  const Past kept(sizes, type, longest, shift, random);
  const CachedPositions* past = longest > 0 ? kept.sequences.data() : nullptr;
  const auto rowOf = [&](size_t kind, size_t b, size_t head, size_t key) -> const float* {
    const CachedPositions& own = kept.sequences[b];
    const size_t kvHead = head / group;
    if (key >= own.length) {
      return (kind ? v : k).data() + ((b * pos + key - own.length) * kvHeads + kvHead) * dHead;
    }
    return kept.row(b, kind, kvHead, key);
  };
  const auto dot = [dHead](const float* a, const float* b) {
    double sum = 0;
    for (size_t i = 0; i < dHead; i++) sum += static_cast<double>(a[i]) * b[i];
    return sum;
  };
  const auto queryAt = [&](size_t b, size_t t, size_t head) { return ((b * pos + t) * heads + head) * dHead; };

  table->attentionScores(q.data(), k.data(), sizes, past, keys, 0.3f, scores.data());
  table->softmax(scores.data(), batch * heads * pos, keys, pattern.data());
  table->attentionMix(pattern.data(), v.data(), sizes, past, keys, z.data());
  Guarded<float> workspace(attentionWorkspace(sizes, keys), shift);
  table->attention(q.data(), k.data(), v.data(), sizes, past, keys, 0.3f, workspace.data(), joined.data());
  const std::initializer_list<size_t> shape = {batch, pos, longest, kvHeads, group, dHead, static_cast<size_t>(type)};
  check(std::memcmp(z.data(), joined.data(), queryFloats * sizeof(float)) == 0, at("attention is its parts", shape));
  for (size_t row = 0; row < batch * heads * pos; row++) {
    const size_t b = row / pos / heads, head = row / pos % heads, t = row % pos;
    const size_t seen = kept.sequences[b].length + t + 1;
    std::vector<double> weights(seen);
    double total = 0;
    for (size_t key = 0; key < seen; key++) {
      const double score = 0.3 * dot(q.data() + queryAt(b, t, head), rowOf(0, b, head, key));
      check(near(scores[row * keys + key], score, 1e-5), at("attentionScores", shape));
      total += weights[key] = std::exp(score);
    }
    for (size_t i = 0; i < dHead; i++) {
      double expected = 0;
      for (size_t key = 0; key < seen; key++) expected += weights[key] / total * rowOf(1, b, head, key)[i];
      check(near(joined[queryAt(b, t, head) + i], expected, 1e-5), at("attention", shape));
    }
    for (size_t key = seen; key < keys; key++) check(pattern[row * keys + key] == 0, at("later keys", shape));
  }
  if (past) return;

  Guarded<float> dq(queryFloats, shift), dk(keyFloats, shift), dpattern(patternFloats, shift), dv(keyFloats, shift);
  std::vector<double> wantedDq(queryFloats), wantedDk(keyFloats), wantedDv(keyFloats);
  table->attentionScoresGradient(pattern.data(), q.data(), k.data(), sizes, 0.3f, dq.data(), dk.data());
  table->attentionMixGradient(z.data(), pattern.data(), v.data(), sizes, dpattern.data(), dv.data());
  for (size_t row = 0; row < batch * heads * pos; row++) {
    const size_t b = row / pos / heads, head = row / pos % heads, t = row % pos;
    for (size_t key = 0; key < pos; key++) {
      const double weight = pattern[row * keys + key];
      const size_t keyAt = ((b * pos + key) * kvHeads + head / group) * dHead;
      check(near(dpattern[row * keys + key], dot(z.data() + queryAt(b, t, head), v.data() + keyAt), 1e-5),
            at("attentionMixGradient: dpattern", shape));
      for (size_t i = 0; i < dHead; i++) {
        if (key <= t) {
          wantedDq[queryAt(b, t, head) + i] += static_cast<double>(0.3f) * weight * k[keyAt + i];
          wantedDk[keyAt + i] += static_cast<double>(0.3f) * weight * q[queryAt(b, t, head) + i];
        }
        wantedDv[keyAt + i] += weight * z[queryAt(b, t, head) + i];
      }
    }
  }
  for (size_t i = 0; i < queryFloats; i++) {
    check(near(dq[i], wantedDq[i], 1e-5), at("attentionScoresGradient: dq", shape));
  }
  for (size_t i = 0; i < keyFloats; i++) {
    check(near(dk[i], wantedDk[i], 1e-5), at("attentionScoresGradient: dk", shape));
    check(near(dv[i], wantedDv[i], 1e-5), at("attentionMixGradient: dv", shape));
  }
}

void samplingKernels(size_t count, Random& random) {
  const size_t shift = random.below(3);
  Guarded<float> x(count, shift);
  // few values, so that many are equal
  for (size_t i = 0; i < count; i++) x[i] = static_cast<float>(random.below(count)) / 16.0f - 3.0f;
  if (count > 2) x[random.below(count)] = -INFINITY;
  std::vector<int32_t> order(count);
  for (size_t i = 0; i < count; i++) order[i] = static_cast<int32_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return x[static_cast<size_t>(a)] > x[static_cast<size_t>(b)];
  });
  for (const size_t k : {size_t{1}, 1 + random.below(count), count}) {
    Guarded<int32_t> indices(k, shift);
    table->largest(x.data(), count, k, indices.data());
    check(std::equal(indices.data(), indices.data() + k, order.begin()), at("largest", {count, k}));
  }

  const float most = x[static_cast<size_t>(order[0])];
  Guarded<double> sums(weightBlocks(count), shift);
  table->weightSums(x.data(), count, most, 0.7f, sums.data());
  for (size_t b = 0; b < sums.size(); b++) {
    double expected = 0;
    for (size_t i = b * kWeightBlock; i < std::min((b + 1) * kWeightBlock, count); i++) {
      expected += std::exp((static_cast<double>(x[i]) - most) * static_cast<double>(0.7f));
    }
    check(near(sums[b], expected, 1e-13 * expected), at("weightSums", {count, b}));
  }
  table->weightSums(x.data(), count, most, 3e38f, sums.data());
  check(sums[static_cast<size_t>(order[0]) / kWeightBlock] >= 1, at("weightSums of a large scale", {count}));

  for (const float odd : {0.0f, -INFINITY, INFINITY, NAN}) {
    fill(x, random);
    check(table->allFinite(x.data(), count), at("allFinite", {count}));
    x[random.below(count)] = odd;
    check(table->allFinite(x.data(), count) == (odd == 0), at("allFinite of what is not", {count}));
  }
}

void all(Random& random) {
  for (const size_t size : std::initializer_list<size_t>{1, 2, 7, 8, 9, 31, 32, 33, 63, 64, 65, 96, 129, 257, 300}) {
    elementKernels((1 + random.below(5)) * size, random);
    normKernels(1 + random.below(5), size, random);
    softmaxKernels(1 + random.below(5), size, random);
    samplingKernels((1 + random.below(5)) * size, random);
    rope(1 + random.below(5), 1 + random.below(3), size, random);
  }
  exponential();
  float16Rounding();
  int8Rounding(random);
  for (const size_t dHead : std::initializer_list<size_t>{1, 2, 8, 12, 33, 64, 70}) {
    for (const size_t pastLength : std::initializer_list<size_t>{0, 1, 63, 64, 65, 130}) {
      for (const CacheType type : {CacheType::f32, CacheType::f16, CacheType::int8}) {
        const size_t batch = 1 + random.below(3), pos = 1 + random.below(9);
        attention(batch, pos, type, pastLength, 1 + random.below(2), 1 + random.below(5), dHead, random);
      }
    }
  }
  attention(1, 2, CacheType::f16, 70, 1, 35, 8, random);
  for (const int threads : {1, 4}) {
    setThreadCount(threads);
    for (const size_t pastLength : std::initializer_list<size_t>{1023, 1024, 2050}) {
      attention(1, 1, CacheType::f32, pastLength, 2, 1, 10, random);
      attention(2, 1, CacheType::int8, pastLength, 1, 3, 9, random);
    }
  }
}

}  // namespace

int main() { return onEachSet("kernels", all); }
