#include "thread_pool.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "pause.h"

namespace nibblelens {
namespace {

/** Multiply-adds below which waking threads costs more than it saves: about 10 µs of one core. */
constexpr size_t kInlineWork = 1 << 16;
/** Turns of the loop in which an idle thread looks for work before it sleeps: about 20 µs. */
constexpr int kSpinTurns = 500;
constexpr std::align_val_t kScratchAlignment{64};

struct FreeScratch {
  void operator()(float* floats) const { ::operator delete(floats, kScratchAlignment); }
};
using Scratch = std::unique_ptr<float, FreeScratch>;

Scratch allocateScratch(size_t floats) {
  if (floats > SIZE_MAX / sizeof(float)) throw std::bad_alloc();
  return Scratch(static_cast<float*>(::operator new(floats * sizeof(float), kScratchAlignment)));
}

int defaultThreadCount() {
  const unsigned hardware = std::thread::hardware_concurrency();
  if (const char* given = std::getenv("NIBBLELENS_THREADS")) {
    char* end = nullptr;
    const long count = std::strtol(given, &end, 10);
    if (end != given && *end == '\0' && count >= 1 && count <= kMaxThreads) {
      return hardware == 0 || count < static_cast<long>(hardware) ? static_cast<int>(count) : static_cast<int>(hardware);
    }
  }
  return hardware == 0 ? 1 : hardware > 8 ? 8 : static_cast<int>(hardware);
}

/**
 * One loop runs at a time; its caller works too. A helper enters by raising `inside_` and then reading `open_`; the
 * caller leaves by clearing `open_` and then waiting for `inside_` to fall to zero. Both are sequentially consistent,
 * so a helper that still sees the loop open is waited for, and loop_ is never written while a helper reads it.
 */
class ThreadPool {
 public:
  int count() const { return count_; }

  void resize(int count) {
    std::lock_guard<std::mutex> guard(running_);
    stopHelpers();
    count_ = count;
  }

  void run(size_t count, size_t work, size_t scratchFloats, LoopBody body, const void* context) {
    if (count > 1 && work >= kInlineWork) {
      std::unique_lock<std::mutex> guard(running_, std::try_to_lock);
      if (guard.owns_lock() && count_ > 1) {
        runShared({body, context, count}, scratchFloats);
        return;
      }
    }
    const Scratch scratch = scratchFloats ? allocateScratch(scratchFloats) : Scratch();
    for (size_t index = 0; index < count; index++) body(context, index, scratch.get());
  }

 private:
  struct Loop {
    LoopBody body;
    const void* context;
    size_t count;
  };

  void runShared(Loop loop, size_t scratchFloats) {
    reserveScratch(scratchFloats);
    startHelpers();
    loop_ = loop;
    next_.store(0, std::memory_order_relaxed);
    open_.store(true);
    {
      std::lock_guard<std::mutex> guard(sleep_);
      epoch_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    work(0);
    open_.store(false);
    for (int turn = 0; inside_.load() != 0 && turn < kSpinTurns; turn++) pauseThread();
    if (inside_.load() == 0) return;
    // A helper has been put off its core in the middle of its share: asleep, this thread leaves it its own.
    std::unique_lock<std::mutex> guard(leave_);
    callerSleeps_.store(true);
    left_.wait(guard, [&] { return inside_.load() == 0; });
    callerSleeps_.store(false);
  }

  void work(size_t slot) {
    for (;;) {
      const size_t index = next_.fetch_add(1, std::memory_order_relaxed);
      if (index >= loop_.count) return;
      loop_.body(loop_.context, index, scratch_[slot].get());
    }
  }

  void help(size_t slot, uint64_t seen) {
    for (;;) {
      uint64_t epoch = epoch_.load(std::memory_order_acquire);
      for (int turn = 0; epoch == seen && turn < kSpinTurns; turn++) {
        pauseThread();
        epoch = epoch_.load(std::memory_order_acquire);
      }
      if (epoch == seen) {
        std::unique_lock<std::mutex> guard(sleep_);
        wake_.wait(guard, [&] { return epoch_.load(std::memory_order_acquire) != seen; });
        epoch = epoch_.load(std::memory_order_acquire);
      }
      seen = epoch;
      if (stopping_.load(std::memory_order_acquire)) return;
      inside_.fetch_add(1);
      if (open_.load()) work(slot);
      if (inside_.fetch_sub(1) == 1 && callerSleeps_.load()) {
        std::lock_guard<std::mutex> guard(leave_);
        left_.notify_one();
      }
    }
  }

  void reserveScratch(size_t floats) {
    const size_t slots = static_cast<size_t>(count_.load());
    if (scratch_.size() != slots) {
      scratch_.clear();
      scratch_.resize(slots);
      scratchFloats_ = 0;
    }
    if (floats <= scratchFloats_) return;
    scratchFloats_ = 0;
    for (Scratch& scratch : scratch_) scratch = allocateScratch(floats);
    scratchFloats_ = floats;
  }

  void startHelpers() {
    if (!helpers_.empty()) return;
    const uint64_t seen = epoch_.load(std::memory_order_acquire);
    helpers_.reserve(static_cast<size_t>(count_.load()));
    try {
      for (int slot = 1; slot < count_; slot++) {
        helpers_.emplace_back([this, slot, seen] { help(static_cast<size_t>(slot), seen); });
      }
    } catch (const std::system_error&) {
      // The system gives no more threads: those there are do the work.
    }
  }

  void stopHelpers() {
    stopping_.store(true, std::memory_order_release);
    {
      std::lock_guard<std::mutex> guard(sleep_);
      epoch_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (std::thread& helper : helpers_) helper.join();
    helpers_.clear();
    stopping_.store(false, std::memory_order_release);
  }

  std::mutex running_;
  std::atomic<int> count_{defaultThreadCount()};
  std::vector<std::thread> helpers_;
  std::vector<Scratch> scratch_;
  size_t scratchFloats_ = 0;
  Loop loop_{};
  std::atomic<size_t> next_{0};
  std::atomic<bool> open_{false};
  std::atomic<int> inside_{0};
  std::atomic<bool> stopping_{false};
  std::mutex leave_;
  std::condition_variable left_;
  std::atomic<bool> callerSleeps_{false};
  std::mutex sleep_;
  std::condition_variable wake_;
  std::atomic<uint64_t> epoch_{0};
};

/** Never destroyed: its threads may sleep in it while the process exits. */
ThreadPool& pool() {
  static ThreadPool* const instance = new ThreadPool();
  return *instance;
}

}  // namespace

float* callerScratch(size_t floats) {
  thread_local Scratch scratch;
  thread_local size_t capacity = 0;
  if (floats > capacity) {
    scratch.reset();
    capacity = 0;
    scratch = allocateScratch(floats);
    capacity = floats;
  }
  return scratch.get();
}

int threadCount() { return pool().count(); }
void setThreadCount(int count) { pool().resize(count); }

void runLoop(size_t count, size_t work, size_t scratchFloats, LoopBody body, const void* context) {
  pool().run(count, work, scratchFloats, body, context);
}

}  // namespace nibblelens
