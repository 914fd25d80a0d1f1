#include "step_queue.h"

#include <new>
#include <string>
#include <utility>

namespace nibblelens {

struct StepQueue::Task {
  DecoderStep step;
  napi_deferred deferred = nullptr;
  Napi::ObjectReference owner;
  std::unique_ptr<KeptArrays> arrays;
  bool finished = false;
  /** Empty where the step ran. */
  std::string failure;
};

StepQueue::StepQueue(Napi::Env env, Decoder& decoder, std::function<void()> afterStep)
    : env_(env), decoder_(decoder), afterStep_(std::move(afterStep)) {
  const Napi::String name = Napi::String::New(env, "nibblelens.step");
  const napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, settle,
                                                       &settler_);
  if (status != napi_ok) throw Napi::Error::New(env);
  napi_unref_threadsafe_function(env, settler_);
  try {
    thread_ = std::thread([this] { work(); });
  } catch (...) {
    napi_release_threadsafe_function(settler_, napi_tsfn_abort);
    throw;
  }
  // Hooks run last come, first served: this one before settler_'s own.
  napi_add_env_cleanup_hook(env, endWithEnvironment, this);
}

StepQueue::~StepQueue() {
  if (!thread_.joinable()) return;
  stop();
  napi_remove_env_cleanup_hook(env_, endWithEnvironment, this);
  napi_release_threadsafe_function(settler_, napi_tsfn_abort);
}

void StepQueue::endWithEnvironment(void* queue) { static_cast<StepQueue*>(queue)->stop(); }

void StepQueue::stop() {
  {
    std::lock_guard<std::mutex> guard(lock_);
    stopping_.store(true);
  }
  wake_.notify_all();
  thread_.join();
  waiting_.clear();
}

Napi::Promise StepQueue::add(Napi::Object owner, DecoderStep step, std::unique_ptr<KeptArrays> arrays) {
  auto task = std::make_unique<Task>();
  task->step = std::move(step);
  task->step.stop = &stopping_;
  task->owner = Napi::Persistent(owner);
  task->arrays = std::move(arrays);
  napi_value promise;
  if (napi_create_promise(env_, &task->deferred, &promise) != napi_ok) throw Napi::Error::New(env_);
  if (unsettled_++ == 0) napi_ref_threadsafe_function(env_, settler_);
  {
    std::lock_guard<std::mutex> guard(lock_);
    waiting_.push_back(std::move(task));
  }
  wake_.notify_one();
  return Napi::Promise(env_, promise);
}

void StepQueue::work() {
  for (;;) {
    std::unique_ptr<Task> task;
    {
      std::unique_lock<std::mutex> guard(lock_);
      wake_.wait(guard, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      task = std::move(waiting_.front());
      waiting_.pop_front();
    }
    try {
      task->finished = decoder_.run(task->step);
    } catch (const std::bad_alloc&) {
      task->failure = kNoMemory;
    }
    napi_call_threadsafe_function(settler_, task.release(), napi_tsfn_nonblocking);
  }
}

/** Called by Node on the thread of JavaScript; without `env` where the environment ends. */
void StepQueue::settle(napi_env env, napi_value, void* context, void* data) {
  const std::unique_ptr<Task> task(static_cast<Task*>(data));
  if (!env) return;
  auto* const queue = static_cast<StepQueue*>(context);
  if (--queue->unsettled_ == 0) napi_unref_threadsafe_function(env, queue->settler_);
  queue->afterStep_();
  // What fails here fails because a worker is being terminated: nobody waits for the promise any more.
  napi_value result;
  if (task->failure.empty()) {
    if (napi_get_boolean(env, task->finished, &result) == napi_ok) napi_resolve_deferred(env, task->deferred, result);
    return;
  }
  napi_value message;
  if (napi_create_string_utf8(env, task->failure.c_str(), task->failure.size(), &message) == napi_ok &&
      napi_create_range_error(env, nullptr, message, &result) == napi_ok) {
    napi_reject_deferred(env, task->deferred, result);
  }
}

}  // namespace nibblelens
