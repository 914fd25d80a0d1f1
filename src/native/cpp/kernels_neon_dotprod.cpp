// Products by SDOT, the other kernels being those of NEON: this file alone is compiled for processors that have it. As
// in kernels_avx2.cpp, nothing of the standard library that other files use too may be instantiated.
#if !defined(__clang__)
// GCC 12 takes the flag's dot products for an option of ARMv8.2, which Zig's Clang has no such name for.
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif
#define NIBBLELENS_ISA neon_dotprod
#include "integer_neon.h"
#include "products.inl.h"
