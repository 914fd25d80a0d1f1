// Kernels on rows and elements for JavaScript.
#include "arguments.h"
#include "kernel_functions.h"
#include "kernels.h"

namespace nibblelens {
namespace {

using Info = const Napi::CallbackInfo&;

float epsilon(const Reader& read, const Napi::Value& value) {
  const float eps = read.number(value, "eps");
  if (eps < 0) read.rangeError("eps", std::to_string(eps), "0 or more");
  return eps;
}

/** Columns of `floats` in `rows` rows, at least one if there are rows; a RangeError where they do not divide. */
size_t columnsOf(const Reader& read, const Array<float>& floats, size_t rows, const char* what) {
  if (floats.length == 0 && rows == 0) return 0;
  if (rows == 0 || floats.length == 0 || floats.length % rows != 0) {
    read.rangeError(std::string("length of ") + what, std::to_string(floats.length),
                    "a multiple of " + std::to_string(rows) + " rows");
  }
  return floats.length / rows;
}

/** Rows of `floats` with `columns` columns, at least one. */
size_t rowsOf(const Reader& read, const Array<float>& floats, size_t columns, const char* what) {
  if (columns == 0 || floats.length % columns != 0) {
    read.rangeError(std::string("length of ") + what, std::to_string(floats.length),
                    "a multiple of " + std::to_string(columns) + " columns");
  }
  return floats.length / columns;
}

void rmsNormScale(Info info) {
  const Reader read(info.Env(), "rmsNormScale");
  const Array<float> x = read.floats(info[0], "x");
  const size_t rows = read.size(info[1], "rows");
  const float eps = epsilon(read, info[2]);
  const Array<float> scale = read.floats(info[3], "scale");
  const size_t columns = columnsOf(read, x, rows, "x");
  read.expectLength(scale, rows, "scale");
  kernels().rmsNormScale(x.data, rows, columns, eps, scale.data);
}

void divideRows(Info info) {
  const Reader read(info.Env(), "divideRows");
  const Array<float> x = read.floats(info[0], "x");
  const Array<float> scale = read.floats(info[1], "scale");
  const Array<float> y = read.floats(info[2], "y");
  const size_t columns = columnsOf(read, x, scale.length, "x");
  read.expectLength(y, x.length, "y");
  kernels().divideRows(x.data, scale.length, columns, scale.data, y.data);
}

void multiplyColumns(Info info) {
  const Reader read(info.Env(), "multiplyColumns");
  const Array<float> x = read.floats(info[0], "x");
  const Array<float> gain = read.floats(info[1], "gain");
  const Array<float> y = read.floats(info[2], "y");
  const size_t rows = rowsOf(read, x, gain.length, "x");
  read.expectLength(y, x.length, "y");
  kernels().multiplyColumns(x.data, rows, gain.length, gain.data, y.data);
}

void rmsNorm(Info info) {
  const Reader read(info.Env(), "rmsNorm");
  const Array<float> x = read.floats(info[0], "x");
  const size_t rows = read.size(info[1], "rows");
  const Array<float> gain = read.floats(info[2], "gain");
  const float eps = epsilon(read, info[3]);
  const Array<float> y = read.floats(info[4], "y");
  read.expectLength(x, read.product({rows, gain.length}), "x");
  read.expectLength(y, x.length, "y");
  kernels().rmsNorm(x.data, rows, gain.length, gain.data, eps, y.data);
}

void rmsNormGradient(Info info) {
  const Reader read(info.Env(), "rmsNormGradient");
  const Array<float> x = read.floats(info[0], "x");
  const size_t rows = read.size(info[1], "rows");
  const Array<float> gain = read.floats(info[2], "gain");
  const float eps = epsilon(read, info[3]);
  const Array<float> dy = read.floats(info[4], "dy");
  const Array<float> dx = read.floats(info[5], "dx");
  read.expectLength(x, read.product({rows, gain.length}), "x");
  read.expectLength(dy, x.length, "dy");
  read.expectLength(dx, x.length, "dx");
  kernels().rmsNormGradient(x.data, rows, gain.length, gain.data, eps, dy.data, dx.data);
}

void rope(Info info) {
  const Reader read(info.Env(), "rope");
  const Array<float> x = read.floats(info[0], "x");
  const size_t heads = read.size(info[1], "heads", 1);
  const size_t dHead = read.size(info[2], "dHead", 2);
  const Array<float> cos = read.floats(info[4], "cos");
  const Array<float> sin = read.floats(info[5], "sin");
  const float sign = read.number(info[6], "sign");
  const Array<float> y = read.floats(info[7], "y");
  if (dHead % 2 != 0) read.rangeError("dHead", std::to_string(dHead), "an even number");
  if (sign != 1 && sign != -1) read.rangeError("sign", std::to_string(sign), "1 or -1");
  read.expectLength(sin, cos.length, "sin");
  const std::vector<int32_t> positions = read.indices(info[3], "positions", rowsOf(read, cos, dHead / 2, "cos"));
  read.expectLength(x, read.product({positions.size(), heads, dHead}), "x");
  read.expectLength(y, x.length, "y");
  kernels().rope(x.data, positions.size(), heads, dHead, positions.data(), cos.data, sin.data, sign, y.data);
}

void softmax(Info info) {
  const Reader read(info.Env(), "softmax");
  const Array<float> x = read.floats(info[0], "x");
  const size_t columns = read.size(info[1], "columns", 1);
  const Array<float> y = read.floats(info[2], "y");
  const size_t rows = rowsOf(read, x, columns, "x");
  read.expectLength(y, x.length, "y");
  kernels().softmax(x.data, rows, columns, y.data);
}

void softmaxGradient(Info info) {
  const Reader read(info.Env(), "softmaxGradient");
  const Array<float> y = read.floats(info[0], "y");
  const size_t columns = read.size(info[1], "columns", 1);
  const Array<float> dy = read.floats(info[2], "dy");
  const Array<float> dx = read.floats(info[3], "dx");
  const size_t rows = rowsOf(read, y, columns, "y");
  read.expectLength(dy, y.length, "dy");
  read.expectLength(dx, y.length, "dx");
  kernels().softmaxGradient(y.data, rows, columns, dy.data, dx.data);
}

void swiglu(Info info) {
  const Reader read(info.Env(), "swiglu");
  const Array<float> gate = read.floats(info[0], "gate");
  const Array<float> up = read.floats(info[1], "up");
  const Array<float> y = read.floats(info[2], "y");
  read.expectLength(up, gate.length, "up");
  read.expectLength(y, gate.length, "y");
  kernels().swiglu(gate.data, up.data, gate.length, y.data);
}

void swigluGradient(Info info) {
  const Reader read(info.Env(), "swigluGradient");
  const Array<float> gate = read.floats(info[0], "gate");
  const Array<float> up = read.floats(info[1], "up");
  const Array<float> dy = read.floats(info[2], "dy");
  const Array<float> dgate = read.floats(info[3], "dgate");
  const Array<float> dup = read.floats(info[4], "dup");
  read.expectLength(up, gate.length, "up");
  read.expectLength(dy, gate.length, "dy");
  read.expectLength(dgate, gate.length, "dgate");
  read.expectLength(dup, gate.length, "dup");
  kernels().swigluGradient(gate.data, up.data, dy.data, gate.length, dgate.data, dup.data);
}

void add(Info info) {
  const Reader read(info.Env(), "add");
  const Array<float> a = read.floats(info[0], "a");
  const Array<float> b = read.floats(info[1], "b");
  const Array<float> y = read.floats(info[2], "y");
  read.expectLength(b, a.length, "b");
  read.expectLength(y, a.length, "y");
  kernels().add(a.data, b.data, a.length, y.data);
}

}  // namespace

void exportRowFunctions(Napi::Env env, Napi::Object exports) {
  exports.Set("rmsNormScale", Napi::Function::New(env, rmsNormScale, "rmsNormScale"));
  exports.Set("divideRows", Napi::Function::New(env, divideRows, "divideRows"));
  exports.Set("multiplyColumns", Napi::Function::New(env, multiplyColumns, "multiplyColumns"));
  exports.Set("rmsNorm", Napi::Function::New(env, rmsNorm, "rmsNorm"));
  exports.Set("rmsNormGradient", Napi::Function::New(env, rmsNormGradient, "rmsNormGradient"));
  exports.Set("rope", Napi::Function::New(env, rope, "rope"));
  exports.Set("softmax", Napi::Function::New(env, softmax, "softmax"));
  exports.Set("softmaxGradient", Napi::Function::New(env, softmaxGradient, "softmaxGradient"));
  exports.Set("swiglu", Napi::Function::New(env, swiglu, "swiglu"));
  exports.Set("swigluGradient", Napi::Function::New(env, swigluGradient, "swigluGradient"));
  exports.Set("add", Napi::Function::New(env, add, "add"));
}

}  // namespace nibblelens
