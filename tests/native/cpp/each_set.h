// A test that runs on every instruction set in turn.
#pragma once

#include "kernels.h"
#include "support.h"
#include "thread_pool.h"

namespace nibblelens {

/** The kernels under test. */
inline const Kernels* table = nullptr;

/** What a check is of: the instruction set, the kernel and the sizes. */
inline std::string at(const char* kernel, std::initializer_list<size_t> sizes) {
  std::string text = std::string(table->name) + " " + kernel;
  for (const size_t size : sizes) text += " " + std::to_string(size);
  return text;
}

/** Runs a test on each set with the same random numbers; gives the exit status. */
template <typename Test>
int onEachSet(const char* subject, const Test& test) {
  std::string names;
  for (const Kernels* set : availableKernels()) {
    table = set;
    names += std::string(" ") + set->name;
    useKernels(set->name);
    Random random(7);
    test(random);
  }
  setThreadCount(1);
  std::printf("%s of%s: %d checks, %d failed\n", subject, names.c_str(), checks, failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace nibblelens
