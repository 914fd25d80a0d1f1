// Rotary position embedding (Su et al. 2021) on pairs (i, i + dHead / 2).
#pragma once

#include "elementwise.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

static void rope(const float* x, size_t rows, size_t heads, size_t dHead, const int32_t* positions, const float* cos,
                 const float* sin, float sign, float* y) {
  const size_t half = dHead / 2;
  parallelFor(rows, 2 * rows * heads * dHead, 0, [=](size_t row, float*) {
    const float* rowCos = cos + static_cast<size_t>(positions[row]) * half;
    const float* rowSin = sin + static_cast<size_t>(positions[row]) * half;
    for (size_t head = 0; head < heads; head++) {
      const float* from = x + (row * heads + head) * dHead;
      float* to = y + (row * heads + head) * dHead;
      forLanes(half, [=](size_t i, size_t some) {
        const Lanes c = loadSome(rowCos + i, some);
        const Lanes s = mul(splat(sign), loadSome(rowSin + i, some));
        const Lanes a = loadSome(from + i, some);
        const Lanes b = loadSome(from + half + i, some);
        storeSome(to + i, sub(mul(a, c), mul(b, s)), some);
        storeSome(to + half + i, add(mul(b, c), mul(a, s)), some);
      });
    }
  });
}

}  // namespace nibblelens::NIBBLELENS_ISA
