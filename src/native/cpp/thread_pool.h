// A process-wide pool of threads for loops over independent outputs.
#pragma once

#include <cstddef>

namespace nibblelens {

constexpr int kMaxThreads = 256;

/** Threads that loops use, the calling one included. */
int threadCount();
/** Replaces the pool's threads; 1 to kMaxThreads. Waits for a loop in flight. */
void setThreadCount(int count);

/** Floats of the calling thread's own, aligned to 64 bytes, undefined at first; good until its next call. */
float* callerScratch(size_t floats);

/** What a loop runs: `index` of [0, count), and `scratch` of this thread's own. It does not throw. */
using LoopBody = void (*)(const void* context, size_t index, float* scratch);

/**
 * Calls body for every index of [0, count), on several threads where `work` (about the number of multiply-adds of all
 * of it) is worth their waking. Scratch holds `scratchFloats` floats, aligned to 64 bytes, undefined at first. If
 * another loop has the pool, this one runs on the calling thread alone. Throws std::bad_alloc before the first call, or
 * not at all.
 */
void runLoop(size_t count, size_t work, size_t scratchFloats, LoopBody body, const void* context);

/** `runLoop` for a callable (size_t index, float* scratch). */
template <typename Body>
void parallelFor(size_t count, size_t work, size_t scratchFloats, const Body& body) {
  runLoop(
      count, work, scratchFloats,
      [](const void* context, size_t index, float* scratch) { (*static_cast<const Body*>(context))(index, scratch); },
      &body);
}

}  // namespace nibblelens
