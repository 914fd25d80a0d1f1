#include "thread_pool.h"

#include <atomic>
#include <chrono>
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

using Clock = std::chrono::steady_clock;

/** Multiply-adds below which waking threads costs more than it saves: some microseconds of one core. */
constexpr size_t kInlineWork = 1 << 16;
/** Multiply-adds that a thread takes at a time: to take less would cost more than a thread then waits for another. */
constexpr size_t kPieceWork = 1 << 13;
/** How long an idle thread looks for work before it sleeps: longer than from one token of a small model to the next. */
constexpr std::chrono::microseconds kIdleSpin{100};
/** The same where threads are more than processors, whose time another one waits for. */
constexpr std::chrono::microseconds kCrowdedSpin{5};
/** A wait for a helper that says that its core is in demand, and how much longer than it loops then go without helpers. */
constexpr std::chrono::microseconds kLongWait{500};
constexpr int kAlonePerWait = 16;
/** Turns of the loop in which a caller waits for the last helper before it sleeps: about 10 µs. */
constexpr int kLeaveTurns = 500;
constexpr int kTurnsPerLook = 32;
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

/** What a thread takes first of a loop: a run of its indices, so that what it reads is one stream. Then it helps others. */
struct alignas(64) Share {
  std::atomic<size_t> next{0};
  size_t end = 0;
};

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
    const unsigned processors = std::thread::hardware_concurrency();
    isCrowded_ = processors != 0 && static_cast<unsigned>(count) > processors;
  }

  void run(size_t count, size_t work, size_t scratchFloats, LoopBody body, const void* context) {
    if (count > 1 && work >= kInlineWork) {
      std::unique_lock<std::mutex> guard(running_, std::try_to_lock);
      if (guard.owns_lock() && count_ > 1 && hasHelp()) {
        const size_t atOnce = kPieceWork / (work / count + 1);
        runShared({body, context, count, atOnce > 1 ? atOnce : 1}, scratchFloats);
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
    /** Indices that a thread takes at a time. */
    size_t atOnce;
  };

  void runShared(Loop loop, size_t scratchFloats) {
    reserveScratch(scratchFloats);
    startHelpers();
    loop_ = loop;
    const size_t slots = scratch_.size();
    for (size_t slot = 0; slot < slots; slot++) {
      shares_[slot].next.store(loop.count * slot / slots, std::memory_order_relaxed);
      shares_[slot].end = loop.count * (slot + 1) / slots;
    }
    open_.store(true);
    {
      std::lock_guard<std::mutex> guard(sleep_);
      epoch_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    work(0);
    open_.store(false);
    for (int turn = 0; inside_.load() != 0 && turn < kLeaveTurns; turn++) pauseThread();
    if (inside_.load() == 0) return;
    // A helper has been put off its core in the middle of its share: asleep, this thread leaves it its own.
    const auto start = Clock::now();
    std::unique_lock<std::mutex> guard(leave_);
    callerSleeps_.store(true);
    left_.wait(guard, [&] { return inside_.load() == 0; });
    callerSleeps_.store(false);
    const auto end = Clock::now();
    // Somebody else needs that core: to wait again and again would cost more than to do without helpers for a while.
    if (!isCrowded_ && end - start > kLongWait) aloneUntil_ = end + kAlonePerWait * (end - start);
  }

  /** Whether helpers' cores seem to be theirs. */
  bool hasHelp() {
    if (aloneUntil_ == Clock::time_point()) return true;
    if (Clock::now() < aloneUntil_) return false;
    aloneUntil_ = {};
    return true;
  }

  void work(size_t slot) {
    const size_t slots = scratch_.size();
    float* const scratch = scratch_[slot].get();
    for (size_t turn = 0; turn < slots; turn++) {
      Share& share = shares_[(slot + turn) % slots];
      for (;;) {
        const size_t first = share.next.fetch_add(loop_.atOnce, std::memory_order_relaxed);
        if (first >= share.end) break;
        const size_t end = first + loop_.atOnce < share.end ? first + loop_.atOnce : share.end;
        for (size_t index = first; index < end; index++) loop_.body(loop_.context, index, scratch);
      }
    }
  }

  /** Waits a while for a loop after that of epoch `seen`; gives the epoch. */
  uint64_t spin(uint64_t seen) const {
    uint64_t epoch = epoch_.load(std::memory_order_acquire);
    if (epoch != seen) return epoch;
    const auto end = Clock::now() + (isCrowded_ ? kCrowdedSpin : kIdleSpin);
    do {
      for (int turn = 0; epoch == seen && turn < kTurnsPerLook; turn++) {
        pauseThread();
        epoch = epoch_.load(std::memory_order_acquire);
      }
    } while (epoch == seen && Clock::now() < end);
    return epoch;
  }

  void help(size_t slot, uint64_t seen) {
    for (;;) {
      uint64_t epoch = spin(seen);
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
      scratchFloats_ = 0;
      shares_.reset(new Share[slots]);
      scratch_.resize(slots);
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
  std::atomic<bool> isCrowded_{false};
  /** Guarded by `running_`. */
  Clock::time_point aloneUntil_{};
  std::vector<std::thread> helpers_;
  std::vector<Scratch> scratch_;
  size_t scratchFloats_ = 0;
  Loop loop_{};
  /** One for each thread, as `scratch_`. */
  std::unique_ptr<Share[]> shares_;
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
