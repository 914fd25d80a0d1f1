#include "kernels.h"

#include <atomic>
#include <cstdlib>

// NIBBLELENS_SCALAR_ONLY leaves out what only some processors have: tests of threads need no more.
#if defined(__x86_64__) && !defined(NIBBLELENS_SCALAR_ONLY)
#define NIBBLELENS_X86
#include <cpuid.h>
#elif defined(__aarch64__) && !defined(NIBBLELENS_SCALAR_ONLY)
#define NIBBLELENS_ARM
#if defined(__linux__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif
#endif

namespace nibblelens {

namespace scalar {
extern const Kernels kernelTable;
}
#if defined(NIBBLELENS_X86)
namespace avx2 {
extern const Kernels kernelTable;
}
namespace avx512vnni {
extern const Products products;
}
#elif defined(NIBBLELENS_ARM)
namespace neon {
extern const Kernels kernelTable;
}
namespace neon_dotprod {
extern const Products products;
}
#endif

namespace {

/** What `NIBBLELENS_ISA` says, or nothing. */
std::string askedName() {
  const char* given = std::getenv("NIBBLELENS_ISA");
  return given ? given : "";
}

#if defined(NIBBLELENS_X86)
/**
 * Asks the processor: the library behind __builtin_cpu_supports does not know with every compiler (Zig's says no).
 * Whether it has these features of leaf 7, and AVX with FMA and F16C, and the system keeps these registers.
 */
bool hasFeatures(unsigned registers, unsigned leafB, unsigned leafC) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
  constexpr unsigned kNeeded = 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29;  // FMA, OSXSAVE, AVX, F16C
  if ((c & kNeeded) != kNeeded) return false;
  unsigned low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & registers) != registers) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & leafB) == leafB && (c & leafC) == leafC;
}

constexpr unsigned kVectorRegisters = 6;
constexpr unsigned kMaskRegisters = 0xe0;  // and the upper halves, and registers 16 to 31
constexpr unsigned kAvx2 = 1u << 5;
constexpr unsigned kAvx512 = 1u << 16 | 1u << 30 | 1u << 31;  // F, BW, VL
constexpr unsigned kVnni = 1u << 11;

bool hasAvx2() { return hasFeatures(kVectorRegisters, kAvx2, 0); }
bool hasAvx512Vnni() { return hasFeatures(kVectorRegisters | kMaskRegisters, kAvx2 | kAvx512, kVnni); }

#elif defined(NIBBLELENS_ARM)
bool hasDotProducts() {
#if defined(__linux__)
  constexpr unsigned long kAsimdDp = 1ul << 20;
  return (getauxval(AT_HWCAP) & kAsimdDp) != 0;
#elif defined(__APPLE__)
  int found = 0;
  size_t bytes = sizeof found;
  return sysctlbyname("hw.optional.arm.FEAT_DotProd", &found, &bytes, nullptr, 0) == 0 && found != 0;
#else
  return false;
#endif
}
#endif

#if defined(NIBBLELENS_X86) || defined(NIBBLELENS_ARM)
/** The table of a set that has only products of its own; never destroyed. */
const Kernels* tableOf(const char* name, const Products& products, const Kernels& others) {
  auto* const table = new Kernels(others);
  table->name = name;
  table->matmul = products.matmul;
  table->embedding = products.embedding;
  return table;
}
#endif

std::vector<const Kernels*> detect() {
  std::vector<const Kernels*> found;
#if defined(NIBBLELENS_X86)
  // No processor that has it has run the tests yet: it is for those who ask.
  if (askedName() == "avx512vnni" && hasAvx512Vnni()) {
    found.push_back(tableOf("avx512vnni", avx512vnni::products, avx2::kernelTable));
  }
  if (hasAvx2()) found.push_back(&avx2::kernelTable);
#elif defined(NIBBLELENS_ARM)
  if (hasDotProducts()) found.push_back(tableOf("neon_dotprod", neon_dotprod::products, neon::kernelTable));
  found.push_back(&neon::kernelTable);
#endif
  found.push_back(&scalar::kernelTable);
  return found;
}

const Kernels* named(const std::string& name) {
  for (const Kernels* table : availableKernels()) {
    if (name == table->name) return table;
  }
  return nullptr;
}

std::atomic<const Kernels*>& chosen() {
  static std::atomic<const Kernels*> table{[] {
    const Kernels* asked = named(askedName());
    return asked ? asked : availableKernels().front();
  }()};
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
  const Kernels* table = named(name);
  if (table) chosen().store(table, std::memory_order_release);
  return table != nullptr;
}

}  // namespace nibblelens
