// Products by VNNI in AVX2-sized registers, the other kernels being those of AVX2: this file alone is compiled with
// AVX-512's flags. As in kernels_avx2.cpp, nothing of the standard library that other files use too may be instantiated.
#define NIBBLELENS_ISA avx512vnni
#include "integer_avx2.h"
#include "products.inl.h"
