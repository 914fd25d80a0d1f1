// e^x on lanes.
#pragma once

namespace nibblelens::NIBBLELENS_ISA {

/**
 * e^x = 2^n·e^r with n = round(x / ln 2) and |r| ≤ ln 2 / 2; r by ln 2 in two parts (Cody and Waite 1980), e^r by its
 * Taylor series to r^7, whose rest is below 2^-27. Overflows to infinity and underflows through the subnormals to 0.
 */
static inline Lanes expLanes(Lanes x) {
  const Lanes roundToWhole = splat(12582912.0f);  // 1.5·2^23: adding it leaves no fraction bits
  const Lanes bounded = minimum(splat(89.0f), maximum(splat(-104.0f), x));
  const Lanes n = sub(add(mul(bounded, splat(1.44269504f)), roundToWhole), roundToWhole);
  const Lanes r = mulAdd(n, splat(2.12194440e-4f), mulAdd(n, splat(-0.693359375f), bounded));
  Lanes power = splat(1.0f / 5040);
  power = mulAdd(power, r, splat(1.0f / 720));
  power = mulAdd(power, r, splat(1.0f / 120));
  power = mulAdd(power, r, splat(1.0f / 24));
  power = mulAdd(power, r, splat(1.0f / 6));
  power = mulAdd(power, r, splat(0.5f));
  power = mulAdd(power, r, splat(1.0f));
  power = mulAdd(power, r, splat(1.0f));
  // 2^n in two factors: n alone may lie beyond the exponents of normal numbers
  const Lanes half = sub(add(mul(n, splat(0.5f)), roundToWhole), roundToWhole);
  return mul(mul(power, twoTo(half)), twoTo(sub(n, half)));
}

}  // namespace nibblelens::NIBBLELENS_ISA
