// The NEON kernels with products of four bytes at a time: this file alone is compiled for processors that have SDOT. As
// in kernels_avx2.cpp, nothing of the standard library that other files use too may be instantiated here.
#define NIBBLELENS_ISA neon_dotprod
#include "integer_neon.h"
#include "kernels.inl.h"
