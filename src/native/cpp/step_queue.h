// Decoder steps off the main thread.
#pragma once

#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "arguments.h"
#include "decoder.h"

namespace nibblelens {

/** What a step that cannot have its buffers says. */
constexpr const char* kNoMemory = "step: memory: found too little, expected room for its activations";

/**
 * A thread that runs a decoder's steps in turn; their promises settle on the thread of JavaScript. It is not one of
 * libuv's pool: file reads would wait behind steps, and a process or worker that ends would wait for all of a step.
 * When the environment ends, the step under way stops between layers, and is waited for: it reads and writes memory
 * of the environment. Where the process exits at once, the thread ends with it.
 *
 * Used on the thread of JavaScript. A step's owner, which owns the queue, lives until the promise has settled.
 */
class StepQueue {
 public:
  /** `afterStep` is called before a promise settles. Throws std::system_error where there can be no thread. */
  StepQueue(Napi::Env env, Decoder& decoder, std::function<void()> afterStep);
  ~StepQueue();
  StepQueue(const StepQueue&) = delete;
  StepQueue& operator=(const StepQueue&) = delete;

  /** Of whether the step ran to its end. */
  Napi::Promise add(Napi::Object owner, DecoderStep step, std::unique_ptr<KeptArrays> arrays);

 private:
  struct Task;

  static void settle(napi_env env, napi_value, void* queue, void* task);
  static void endWithEnvironment(void* queue);
  void work();
  void stop();

  const napi_env env_;
  Decoder& decoder_;
  const std::function<void()> afterStep_;
  /** Tasks whose promises have not settled: they keep the process alive. */
  size_t unsettled_ = 0;
  std::mutex lock_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Task>> waiting_;
  std::atomic<bool> stopping_{false};
  napi_threadsafe_function settler_ = nullptr;
  std::thread thread_;
};

}  // namespace nibblelens
