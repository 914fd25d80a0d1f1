#include "kernels.h"

#include <atomic>

namespace nibblelens {

namespace scalar {
extern const Kernels kernelTable;
}
#ifdef NIBBLELENS_AVX2
namespace avx2 {
extern const Kernels kernelTable;
}
#endif

namespace {

std::vector<const Kernels*> detect() {
  std::vector<const Kernels*> found;
#ifdef NIBBLELENS_AVX2
  __builtin_cpu_init();
  // f16c has no name in older compilers' __builtin_cpu_supports; every processor with AVX2 and FMA has it.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&avx2::kernelTable);
#endif
  found.push_back(&scalar::kernelTable);
  return found;
}

std::atomic<const Kernels*>& chosen() {
  static std::atomic<const Kernels*> table{availableKernels().front()};
  return table;
}

}  // namespace

const std::vector<const Kernels*>& availableKernels() {
  // Never destroyed: threads may look here while the process exits.
  static const auto* const tables = new std::vector<const Kernels*>(detect());
  return *tables;
}

const Kernels& kernels() { return *chosen().load(std::memory_order_acquire); }

bool useKernels(const std::string& name) {
  for (const Kernels* table : availableKernels()) {
    if (name != table->name) continue;
    chosen().store(table, std::memory_order_release);
    return true;
  }
  return false;
}

}  // namespace nibblelens
