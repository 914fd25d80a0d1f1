// The portable kernels, compiled for the baseline of the processor's family.
#define NIBBLELENS_ISA scalar
#include "integer_scalar.h"
#include "kernels.inl.h"
