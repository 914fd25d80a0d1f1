// What an instruction set has of its own that differs from another one in products alone. Whoever builds the addon
// waits for its files: the rest is not compiled anew.
#include "kernels.h"

#include "matmul.inl.h"

namespace nibblelens::NIBBLELENS_ISA {

// A constant of the compiler's: code of such a file must not run before the processor has been asked.
extern const Products products;
const Products products = {matmul, embedding};

}  // namespace nibblelens::NIBBLELENS_ISA
