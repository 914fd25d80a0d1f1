// Products with packed and dense matrices, forward and back, of every instruction set: against plain float64 loops,
// with guards around each buffer. Built under the address and undefined-behaviour sanitizers.
#include <memory>

#include "each_set.h"
#include "packed_matrix.h"

using namespace nibblelens;

namespace {

/** [out, in] weights in float64. */
struct Weights {
  size_t out, in;
  std::vector<double> values;

  template <typename Weight>
  Weights(size_t outs, size_t ins, const Weight& weight) : out(outs), in(ins) {
    for (size_t n = 0; n < out; n++) {
      for (size_t k = 0; k < in; k++) values.push_back(weight(n, k));
    }
  }
  explicit Weights(const PlainMatrix& w)
      : Weights(w.sizes.out, w.sizes.in, [&w](size_t n, size_t k) { return w.weight(n, k); }) {}
};

/** Whether codes are multiplied as integers, with activations in bytes in `fast`; where not, `fast` is `exact`. */
bool hasPanels(const PlainMatrix& w) {
  const bool halves = w.sizes.groupSize == 16 && w.sizes.bits == 6 && w.rule != Rule::offsets;
  return w.groups() == 1 || w.sizes.groupSize % 32 == 0 || halves;
}

/** Rows of x as `fast` has them: scale·byte with scale = max|x| / 127 of each 32 inputs; 0 below 2^-120. */
std::vector<float> inBytes(Guarded<float>& x, size_t in) {
  std::vector<float> rounded(x.size());
  for (size_t start = 0; start < x.size(); start += in) {
    for (size_t k = 0; k < in; k += 32) {
      float* const from = x.data() + start + k;
      const size_t count = std::min(in - k, size_t{32});
      float most = 0;
      for (size_t i = 0; i < count; i++) most = std::max(most, std::fabs(from[i]));
      for (size_t i = 0; i < count && most / 127 >= 0x1p-120f; i++) {
        rounded[start + k + i] = most / 127 * std::nearbyint(from[i] * (127 / most));
      }
    }
  }
  return rounded;
}

void multiply(const float* x, size_t rows, const Linear& linear, Mode mode, float* y) {
  const Linear* const linears[] = {&linear};
  table->matmul(x, rows, linears, 1, mode, &y);
}

bool sameBits(const float* a, const float* b, size_t count) { return std::memcmp(a, b, count * sizeof(float)) == 0; }

/** y = x·Wᵀ + bias, within 1e-5 of Σ|x·w| + |bias|. */
void checkProduct(Guarded<float>& y, const float* x, const Weights& w, const float* bias, const std::string& what) {
  for (size_t i = 0; i < y.size(); i++) {
    const float* const inputs = x + i / w.out * w.in;
    const double* const weights = w.values.data() + i % w.out * w.in;
    double expected = bias ? bias[i % w.out] : 0;
    double size = std::fabs(expected);
    for (size_t k = 0; k < w.in; k++) {
      const double term = weights[k] * inputs[k];
      expected += term;
      size += std::fabs(term);
    }
    check(near(y[i], expected, 1e-5 * size), what);
  }
}

/** Rows that `exact` multiplies as integers. */
constexpr size_t kFewExactRows = 32;

/** The same of the kernels; of packed weights, also that each row has the same bits alone. */
void forward(Guarded<float>& x, const Weights& w, const Linear& linear, Mode mode, bool bytes,
             const std::string& what) {
  const size_t rows = x.size() / w.in;
  Guarded<float> y(rows * w.out, 1), alone(w.out, 1);
  multiply(x.data(), rows, linear, mode, y.data());
  checkProduct(y, bytes ? inBytes(x, w.in).data() : x.data(), w, linear.bias, what);
  const bool sameAlone = linear.isPacked && (mode == Mode::fast || rows <= kFewExactRows);
  for (size_t r = 0; r < rows && sameAlone; r++) {
    multiply(x.data() + r * w.in, 1, linear, mode, alone.data());
    check(sameBits(alone.data(), y.data() + r * w.out, w.out), what + ", a row alone");
  }
}

/** dx = dy·W, and rows of W. */
void backAndRows(size_t rows, const Weights& w, const Linear& linear, Random& random, const std::string& what) {
  Guarded<float> dy(rows * w.out, 1), dx(rows * w.in, 1);
  fill(dy, random);
  table->matmulGradient(dy.data(), rows, linear, dx.data());
  const Weights turned(w.in, w.out, [&w](size_t k, size_t n) { return w.values[n * w.in + k]; });
  checkProduct(dx, dy.data(), turned, nullptr, what + ", gradient");

  const int32_t ids[] = {static_cast<int32_t>(random.below(w.out)), static_cast<int32_t>(w.out - 1)};
  const std::string copied = what + ", embedding";
  Guarded<float> chosen(2 * w.in, 1);
  table->embedding(ids, 2, linear, chosen.data());
  for (size_t i = 0; i < chosen.size(); i++) {
    const double expected = w.values[static_cast<size_t>(ids[i / w.in]) * w.in + i % w.in];
    check(near(chosen[i], expected, 2e-7 * std::fabs(expected)), copied);
  }
}

void packed(const PackedSizes& sizes, Rule rule, FloatType type, size_t rows, Mode mode, Random& random) {
  const PlainMatrix plain = randomMatrix(sizes, rule, type, random);
  const size_t shift = random.below(3);
  PackedArrays arrays(plain, shift);
  Guarded<float> x(rows * sizes.in, shift), bias(sizes.out, shift);
  fill(x, random);
  fill(bias, random);
  const Linear linear = arrays.linear(random.below(2) == 0 ? bias.data() : nullptr);
  const Weights w(plain);
  const std::string what = at("packed", {sizes.bits, sizes.out, sizes.in, sizes.groupSize, rows,
                                         static_cast<size_t>(rule), static_cast<size_t>(mode)});
  forward(x, w, linear, mode, mode == Mode::fast && hasPanels(plain), what);
  backAndRows(rows, w, linear, random, what);
}

/** A matrix with some weights 0, where activations are as large as `loud`; all others are of many small sizes. */
void smallBesideLarge(size_t bits, size_t groupSize, Rule rule, float loud, Random& random) {
  const PackedSizes sizes{bits, 18, 100, groupSize};
  const auto isLoud = [](size_t k) { return k % 7 == 3; };
  PlainMatrix plain = randomMatrix(sizes, rule, FloatType::f32, random);
  for (size_t i = 0; i < plain.scales.size(); i++) {
    plain.scales[i] = static_cast<double>(1 + random.below(100)) / 64;
    plain.offsets[i] = -plain.scales[i] * static_cast<double>(plain.zeros[i]);
  }
  for (size_t i = 0; i < plain.codes.size(); i++) {
    const size_t n = i / sizes.in, k = i % sizes.in;
    if (isLoud(k)) plain.codes[i] = rule == Rule::middle ? size_t{1} << (bits - 1) : plain.zeros[plain.group(n, k)];
  }
  PackedArrays arrays(plain);
  Guarded<float> x(3 * sizes.in);
  fill(x, random);
  for (size_t i = 0; i < x.size(); i++) {
    x[i] = isLoud(i % sizes.in) ? x[i] * loud : std::ldexp(x[i], -static_cast<int>(random.below(12)));
  }
  const std::string what = at("small beside large", {bits, groupSize, static_cast<size_t>(rule)});
  forward(x, Weights(plain), arrays.linear(nullptr), Mode::exact, false, what + " " + std::to_string(loud));
}

/** Each output has one weight that is not 0: no other term hides what its input loses. */
void oneWeightEach(size_t bits, Random& random) {
  const PackedSizes sizes{bits, 64, 64, 32};
  PlainMatrix plain = randomMatrix(sizes, Rule::middle, FloatType::f32, random);
  for (size_t i = 0; i < plain.codes.size(); i++) {
    plain.codes[i] = (size_t{1} << (bits - 1)) + (i / sizes.in == i % sizes.in ? 1 : 0);
  }
  PackedArrays arrays(plain);
  Guarded<float> x(kFewExactRows * sizes.in);
  fill(x, random);
  for (size_t i = 0; i < x.size(); i++) x[i] = std::ldexp(x[i], -static_cast<int>(random.below(9)));
  forward(x, Weights(plain), arrays.linear(nullptr), Mode::exact, false, at("one weight each", {bits}));
}

/** Rows of nothing and of next to nothing; a row with no number has none in its result, and no other row minds it. */
void oddRows(const PackedSizes& sizes, Mode mode, Random& random) {
  const PlainMatrix plain = randomMatrix(sizes, Rule::zeros, FloatType::f16, random);
  PackedArrays arrays(plain);
  const Weights w(plain);
  const std::string what = at("odd rows", {sizes.bits, sizes.groupSize, static_cast<size_t>(mode)});
  Guarded<float> bias(sizes.out), x(6 * sizes.in);
  fill(bias, random);
  const Linear linear = arrays.linear(bias.data());
  fill(x, random);
  for (size_t k = 0; k < sizes.in; k++) {
    x[k] = 0;
    x[sizes.in + k] *= 1e-40f;
    x[2 * sizes.in + k] *= 1e-30f;
  }
  forward(x, w, linear, mode, mode == Mode::fast && hasPanels(plain), what);

  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    Guarded<float> before(6 * sizes.out), after(6 * sizes.out);
    multiply(x.data(), 6, linear, mode, before.data());
    const size_t k = random.below(sizes.in), start = 4 * sizes.out, next = start + sizes.out;
    const float kept = x[4 * sizes.in + k];
    x[4 * sizes.in + k] = bad;
    multiply(x.data(), 6, linear, mode, after.data());
    x[4 * sizes.in + k] = kept;
    check(std::none_of(after.data() + start, after.data() + next, [](float y) { return std::isfinite(y); }), what);
    const bool same = sameBits(after.data(), before.data(), start);
    check(same && sameBits(after.data() + next, before.data() + next, sizes.out), what + ", beside no number");
  }
}

/** A dense matrix between guards. */
class DenseArrays {
 public:
  DenseArrays(size_t out, size_t in, FloatType type, size_t shift, Random& random)
      : w_{out, in, type, nullptr}, wide_(out * in, shift), narrow_(out * in, shift) {
    for (size_t i = 0; i < out * in; i++) {
      const size_t magnitude = type == FloatType::f16 ? random.below(0x4000) : 0x3000 + random.below(0x1000);
      narrow_[i] = static_cast<uint16_t>(magnitude | random.below(2) << 15);
      const uint32_t bits = static_cast<uint32_t>(narrow_[i]) << 16;
      float brain;
      std::memcpy(&brain, &bits, sizeof brain);
      const auto half = static_cast<float>(halfValue(narrow_[i]));
      wide_[i] = type == FloatType::f32 ? random.real() : type == FloatType::f16 ? half : brain;
    }
    w_.values = type == FloatType::f32 ? static_cast<const void*>(wide_.data()) : narrow_.data();
  }

  Linear linear(const float* bias) const { return {false, {}, w_, bias}; }
  double weight(size_t n, size_t k) { return wide_[n * w_.inFeatures + k]; }

 private:
  DenseMatrix w_;
  Guarded<float> wide_;
  Guarded<uint16_t> narrow_;
};

void dense(size_t out, size_t in, size_t rows, FloatType type, Random& random) {
  const size_t shift = random.below(3);
  DenseArrays arrays(out, in, type, shift, random);
  Guarded<float> x(rows * in, shift), bias(out, shift);
  fill(x, random);
  fill(bias, random);
  const Linear linear = arrays.linear(random.below(2) == 0 ? bias.data() : nullptr);
  const Weights w(out, in, [&](size_t n, size_t k) { return arrays.weight(n, k); });
  const std::string what = at("dense", {out, in, rows, static_cast<size_t>(type)});
  forward(x, w, linear, Mode::exact, false, what);
  backAndRows(rows, w, linear, random, what);
}

/** Matrices of every kind at once, on any number of threads: the bits of each alone on one. */
void together(size_t rows, Mode mode, Random& random) {
  constexpr size_t kIn = 257;
  PackedArrays whole(randomMatrix({3, 50, kIn, kIn}, Rule::zeros, FloatType::f32, random));
  PackedArrays groups(randomMatrix({4, 16, kIn, 32}, Rule::middle, FloatType::f16, random));
  PackedArrays halves(randomMatrix({6, 17, kIn, 16}, Rule::middle, FloatType::f16, random));
  PackedArrays odd(randomMatrix({5, 100, kIn, 12}, Rule::offsets, FloatType::f32, random));
  const DenseArrays floats(31, kIn, FloatType::f16, 0, random);
  Guarded<float> x(rows * kIn), bias(100);
  fill(x, random);
  fill(bias, random);
  const Linear all[] = {whole.linear(bias.data()), groups.linear(nullptr), odd.linear(bias.data()),
                        floats.linear(bias.data()), halves.linear(nullptr)};
  std::vector<std::unique_ptr<Guarded<float>>> alone, joined, slopes;
  std::vector<const Linear*> linears;
  std::vector<float*> to;
  setThreadCount(1);
  for (const Linear& linear : all) {
    const size_t count = rows * linear.outFeatures();
    alone.push_back(std::make_unique<Guarded<float>>(count));
    joined.push_back(std::make_unique<Guarded<float>>(count));
    slopes.push_back(std::make_unique<Guarded<float>>(rows * kIn));
    multiply(x.data(), rows, linear, mode, alone.back()->data());
    table->matmulGradient(alone.back()->data(), rows, linear, slopes.back()->data());
    linears.push_back(&linear);
    to.push_back(joined.back()->data());
  }
  for (const int threads : {1, 2, 5}) {
    setThreadCount(threads);
    const std::string what = at("together", {rows, static_cast<size_t>(mode), static_cast<size_t>(threads)});
    table->matmul(x.data(), rows, linears.data(), linears.size(), mode, to.data());
    for (size_t i = 0; i < linears.size(); i++) {
      check(sameBits(joined[i]->data(), alone[i]->data(), alone[i]->size()), what);
      Guarded<float> dx(rows * kIn);
      table->matmulGradient(alone[i]->data(), rows, *linears[i], dx.data());
      check(sameBits(dx.data(), slopes[i]->data(), dx.size()), what + ", gradient");
    }
  }
  setThreadCount(1);
}

void products(Random& random) {
  const std::vector<size_t> sizes{1, 7, 15, 16, 17, 31, 32, 33, 64, 65, 100, 129, 257, 300};
  const auto oneOf = [&random](const std::vector<size_t>& list) { return list[random.below(list.size())]; };
  const auto rows = [&] { return random.below(4) == 0 ? oneOf({17, 20, 33}) : 1 + random.below(9); };
  for (const size_t bits : std::initializer_list<size_t>{2, 3, 4, 5, 6, 8}) {
    oneWeightEach(bits, random);
    for (const Mode mode : {Mode::exact, Mode::fast}) {
      for (const Rule rule : {Rule::middle, Rule::zeros, Rule::offsets}) {
        for (const size_t groupSize : std::initializer_list<size_t>{5, 12, 16, 32, 64, 128, 300}) {
          for (int i = 0; i < 5; i++) {
            const size_t out = oneOf({1, 15, 16, 17, 31, 33, 100}), in = oneOf(sizes);
            const FloatType type = random.below(2) == 0 ? FloatType::f16 : FloatType::f32;
            packed({bits, out, in, groupSize}, rule, type, rows(), mode, random);
          }
        }
        packed({bits, 33, 600, bits == 6 ? size_t{16} : 32}, rule, FloatType::f16, 5, mode, random);
      }
      oddRows({bits, 17, 65, 32}, mode, random);
      oddRows({bits, 17, 65, 12}, mode, random);
    }
    for (const Rule rule : {Rule::middle, Rule::zeros, Rule::offsets}) {
      for (const float loud : {1.0f, 1e3f, 1e10f, 1e30f}) {
        for (const size_t groupSize : std::initializer_list<size_t>{16, 32, 100}) {
          smallBesideLarge(bits, groupSize, rule, loud, random);
        }
      }
    }
  }
  // more rows than are multiplied with all weights before the next ones
  packed({4, 20, 544, 32}, Rule::zeros, FloatType::f16, 520, Mode::fast, random);
  packed({4, 20, 2080, 2080}, Rule::middle, FloatType::f32, 24, Mode::exact, random);
  for (const size_t in : sizes) {
    for (const FloatType type : {FloatType::f32, FloatType::f16, FloatType::bf16}) {
      dense(1 + random.below(20), in, rows(), type, random);
    }
  }
  for (const size_t count : std::initializer_list<size_t>{1, 9, 40}) {
    for (const Mode mode : {Mode::exact, Mode::fast}) together(count, mode, random);
  }
}

}  // namespace

int main() { return onEachSet("products", products); }
