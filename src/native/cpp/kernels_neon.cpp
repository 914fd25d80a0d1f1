// The NEON kernels, of what every 64-bit ARM processor has.
#define NIBBLELENS_ISA neon
#include "integer_neon.h"
#include "kernels.inl.h"
