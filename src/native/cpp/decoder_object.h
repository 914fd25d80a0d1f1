// The fused decoder as a JavaScript object.
#pragma once

#include <napi.h>

#include <memory>

#include "arguments.h"

namespace nibblelens {

class DecoderObject : public Napi::ObjectWrap<DecoderObject> {
 public:
  /** The class, to be kept for `createDecoder`. */
  static Napi::Function define(Napi::Env env);

  explicit DecoderObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value stepAsync(const Napi::CallbackInfo& info);
  DecoderStep parseStep(const Reader& read, const Napi::Value& value) const;

  /** Hold what the decoder's pointers point to. */
  std::unique_ptr<KeptArrays> weights_;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace nibblelens
