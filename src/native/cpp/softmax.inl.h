// Softmax of rows.
#pragma once

#include "norm.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

/**
 * y_j = e^(x_j − max x) / Σ e^(x_j − max x); zeros where all x are −∞. The sum runs in four sums of lanes by index, so
 * columns of −∞ at the end, which add zeros, change no bit. x may be y.
 */
static inline void softmaxRow(const float* x, size_t columns, float* y) {
  Lanes most = splat(-INFINITY);
  size_t i = 0;
  for (; i + kLanes <= columns; i += kLanes) most = maximum(most, load(x + i));
  float top = maximumOf(most);
  for (; i < columns; i++) top = x[i] > top ? x[i] : top;
  if (top == -INFINITY) {
    // The maximum may have passed over a NaN, which stays one here.
    forLanes(columns, [=](size_t j, size_t some) {
      const Lanes a = loadSome(x + j, some);
      storeSome(y + j, expLanes(minimum(splat(-INFINITY), a)), some);
    });
    return;
  }
  Lanes sums[4] = {zeroLanes(), zeroLanes(), zeroLanes(), zeroLanes()};
  size_t turn = 0;
  forLanes(columns, [&](size_t j, size_t some) {
    storeSome(y + j, expLanes(sub(loadSome(x + j, some), splat(top))), some);
    sums[turn & 3] = add(sums[turn & 3], loadSome(y + j, some));
    turn++;
  });
  const Lanes total = splat(sum(add(add(sums[0], sums[1]), add(sums[2], sums[3]))));
  forLanes(columns, [=](size_t j, size_t some) { storeSome(y + j, div(loadSome(y + j, some), total), some); });
}

static void softmax(const float* x, size_t rows, size_t columns, float* y) {
  parallelFor(rows, 20 * rows * columns, 0,
              [=](size_t r, float*) { softmaxRow(x + r * columns, columns, y + r * columns); });
}

/** dx = y·(dy − Σ_j y_j·dy_j) */
static void softmaxGradient(const float* y, size_t rows, size_t columns, const float* dy, float* dx) {
  parallelFor(rows, 3 * rows * columns, 0, [=](size_t r, float*) {
    const float* p = y + r * columns;
    const float* slope = dy + r * columns;
    float* to = dx + r * columns;
    const Lanes mean = splat(dotProduct(p, slope, columns));
    forLanes(columns, [=](size_t i, size_t some) {
      storeSome(to + i, mul(loadSome(p + i, some), sub(loadSome(slope + i, some), mean)), some);
    });
  });
}

}  // namespace nibblelens::NIBBLELENS_ISA
