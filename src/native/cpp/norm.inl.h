// RMSNorm (Zhang and Sennrich 2019) and its parts.
#pragma once

#include <cmath>

#include "elementwise.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

/** Σ_i a[i]·b[i], in four sums that are joined at the end. */
static inline float dotProduct(const float* a, const float* b, size_t count) {
  Lanes sums[4] = {zeroLanes(), zeroLanes(), zeroLanes(), zeroLanes()};
  size_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
    for (size_t j = 0; j < 4; j++) sums[j] = mulAdd(load(a + i + j * kLanes), load(b + i + j * kLanes), sums[j]);
  }
  for (size_t j = 0; i < count; i += kLanes, j++) {
    const size_t some = count - i < kLanes ? count - i : kLanes;
    sums[j] = mulAdd(loadSome(a + i, some), loadSome(b + i, some), sums[j]);
  }
  return sum(add(add(sums[0], sums[1]), add(sums[2], sums[3])));
}

static inline float rowScale(const float* x, size_t columns, float eps) {
  return sqrtf(dotProduct(x, x, columns) / static_cast<float>(columns) + eps);
}

static void rmsNormScale(const float* x, size_t rows, size_t columns, float eps, float* scale) {
  parallelFor(rows, rows * columns, 0,
              [=](size_t r, float*) { scale[r] = rowScale(x + r * columns, columns, eps); });
}

static void divideRows(const float* x, size_t rows, size_t columns, const float* scale, float* y) {
  parallelFor(rows, rows * columns, 0, [=](size_t r, float*) {
    const float* from = x + r * columns;
    float* to = y + r * columns;
    const Lanes divisor = splat(scale[r]);
    forLanes(columns, [=](size_t i, size_t some) { storeSome(to + i, div(loadSome(from + i, some), divisor), some); });
  });
}

static void multiplyColumns(const float* x, size_t rows, size_t columns, const float* gain, float* y) {
  parallelFor(rows, rows * columns, 0, [=](size_t r, float*) {
    const float* from = x + r * columns;
    float* to = y + r * columns;
    forLanes(columns, [=](size_t i, size_t some) {
      storeSome(to + i, mul(loadSome(from + i, some), loadSome(gain + i, some)), some);
    });
  });
}

static void rmsNorm(const float* x, size_t rows, size_t columns, const float* gain, float eps, float* y) {
  parallelFor(rows, 3 * rows * columns, 0, [=](size_t r, float*) {
    const float* from = x + r * columns;
    float* to = y + r * columns;
    const Lanes divisor = splat(rowScale(from, columns, eps));
    forLanes(columns, [=](size_t i, size_t some) {
      storeSome(to + i, mul(div(loadSome(from + i, some), divisor), loadSome(gain + i, some)), some);
    });
  });
}

/** dx_k = gain_k·dy_k / scale − x_k·Σ_j(gain_j·dy_j·x_j) / (columns·scale³) */
static void rmsNormGradient(const float* x, size_t rows, size_t columns, const float* gain, float eps, const float* dy,
                            float* dx) {
  parallelFor(rows, 5 * rows * columns, 0, [=](size_t r, float*) {
    const float* from = x + r * columns;
    const float* slope = dy + r * columns;
    float* to = dx + r * columns;
    const float scale = rowScale(from, columns, eps);
    forLanes(columns, [=](size_t i, size_t some) {
      storeSome(to + i, mul(loadSome(gain + i, some), loadSome(slope + i, some)), some);
    });
    // divided in steps: scale³ may leave float32's range where the result does not
    const float along = dotProduct(to, from, columns) / static_cast<float>(columns) / scale / scale;
    forLanes(columns, [=](size_t i, size_t some) {
      const Lanes straight = sub(loadSome(to + i, some), mul(loadSome(from + i, some), splat(along)));
      storeSome(to + i, div(straight, splat(scale)), some);
    });
  });
}

}  // namespace nibblelens::NIBBLELENS_ISA
