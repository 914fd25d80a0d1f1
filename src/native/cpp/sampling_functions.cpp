// What choosing a token asks of logits, for JavaScript.
#include "arguments.h"
#include "kernel_functions.h"
#include "kernels.h"

namespace nibblelens {
namespace {

using Info = const Napi::CallbackInfo&;

Napi::Value allFinite(Info info) {
  const Reader read(info.Env(), "allFinite");
  const Array<float> x = read.floats(info[0], "x");
  if (x.length < 1) read.rangeError("length of x", "0", "1 or more");
  return Napi::Boolean::New(info.Env(), kernels().allFinite(x.data, x.length));
}

void largest(Info info) {
  const Reader read(info.Env(), "largest");
  const Array<float> x = read.floats(info[0], "x");
  const Array<int32_t> indices = read.ints(info[1], "indices");
  if (x.length > INT32_MAX) read.rangeError("length of x", std::to_string(x.length), "below 2^31");
  if (indices.length < 1 || indices.length > x.length) {
    read.rangeError("length of indices", std::to_string(indices.length), "1 to " + std::to_string(x.length));
  }
  kernels().largest(x.data, x.length, indices.length, indices.data);
}

void weightSums(Info info) {
  const Reader read(info.Env(), "weightSums");
  const Array<float> x = read.floats(info[0], "x");
  const float most = read.number(info[1], "most");
  const float scale = read.number(info[2], "scale");
  const Array<double> sums = read.doubles(info[3], "sums");
  read.expectLength(sums, weightBlocks(x.length), "sums");
  kernels().weightSums(x.data, x.length, most, scale, sums.data);
}

}  // namespace

void exportSamplingFunctions(Napi::Env env, Napi::Object exports) {
  exports.Set("allFinite", Napi::Function::New(env, allFinite, "allFinite"));
  exports.Set("largest", Napi::Function::New(env, largest, "largest"));
  exports.Set("weightSums", Napi::Function::New(env, weightSums, "weightSums"));
}

}  // namespace nibblelens
