// Products by VNNI in AVX2-sized registers: this file alone is compiled with AVX-512's flags. It holds what differs from
// AVX2, since whoever builds the addon waits for it; kernels.cpp makes a table of it and the rest. As in
// kernels_avx2.cpp, nothing of the standard library that other files use too may be instantiated here.
#define NIBBLELENS_ISA avx512vnni
#include "integer_avx2.h"
#include "kernels.h"
#include "matmul.inl.h"

namespace nibblelens::avx512vnni {

// Constants of the compiler's: code of this file must not run before the processor has been asked.
extern const decltype(Kernels::matmul) matmulKernel;
extern const decltype(Kernels::embedding) embeddingKernel;
const decltype(Kernels::matmul) matmulKernel = matmul;
const decltype(Kernels::embedding) embeddingKernel = embedding;

}  // namespace nibblelens::avx512vnni
