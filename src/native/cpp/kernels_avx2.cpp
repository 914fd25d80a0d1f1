// The AVX2 kernels: this file alone is compiled with -mavx2 -mfma -mf16c. It must not instantiate anything of the
// standard library that other files use too, or the linker could keep the AVX2 copy for all.
#define NIBBLELENS_ISA avx2
#include "integer_avx2.h"
#include "kernels.inl.h"
