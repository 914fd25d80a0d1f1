#include "kernels.h"

#include <atomic>

#ifdef NIBBLELENS_AVX2
#include <cpuid.h>
#endif

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

#ifdef NIBBLELENS_AVX2
/** Asks the processor: the library behind __builtin_cpu_supports does not know with every compiler (Zig's says no). */
bool hasAvx2() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
  constexpr unsigned kNeeded = 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29;  // FMA, OSXSAVE, AVX, F16C
  if ((c & kNeeded) != kNeeded) return false;
  unsigned low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & 6) != 6) return false;  // the system does not keep the vector registers
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 5) != 0;
}
#endif

std::vector<const Kernels*> detect() {
  std::vector<const Kernels*> found;
#ifdef NIBBLELENS_AVX2
  if (hasAvx2()) found.push_back(&avx2::kernelTable);
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
