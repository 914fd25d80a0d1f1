// The fused decoder as a JavaScript object.
#pragma once

#include <napi.h>

#include <memory>

#include "arguments.h"
#include "step_queue.h"

namespace nibblelens {

class DecoderObject : public Napi::ObjectWrap<DecoderObject> {
 public:
  /** The class, to be kept for `createDecoder`. */
  static Napi::Function define(Napi::Env env);

  explicit DecoderObject(const Napi::CallbackInfo& info);
  void Finalize(Napi::BasicEnv env) override;

 private:
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value stepAsync(const Napi::CallbackInfo& info);
  /** A step whose arrays, and the decoder's weights, are there; `arrays` holds them. */
  DecoderStep parseStep(Napi::Env env, const char* call, const Napi::Value& value, KeptArrays& arrays) const;
  /** Tells V8 of memory that it does not see, so that it collects decoders in time. */
  void reportMemory(Napi::BasicEnv env, size_t bytes);

  /** Hold what the decoder's pointers point to. */
  std::unique_ptr<KeptArrays> weights_;
  std::unique_ptr<Decoder> decoder_;
  /** Made by the first `stepAsync`; before it goes, its step does. */
  std::unique_ptr<StepQueue> queue_;
  int64_t reportedBytes_ = 0;
};

}  // namespace nibblelens
