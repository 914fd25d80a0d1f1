// Matmul, its gradient, and embedding for JavaScript.
#include "arguments.h"
#include "kernel_functions.h"
#include "kernels.h"

namespace nibblelens {
namespace {

using Info = const Napi::CallbackInfo&;

/** x [rows, from] and y [rows, to] of a product whose arguments are (x, rows, w, …, y). */
struct Rows {
  size_t rows;
  Array<float> x;
  Array<float> y;
};

Rows readRows(const Reader& read, Info info, size_t last, const char* xName, size_t from, const char* yName,
              size_t to) {
  Rows found{read.size(info[1], "rows"), read.floats(info[0], xName), read.floats(info[last], yName)};
  read.expectLength(found.x, read.product({found.rows, from}), xName);
  read.expectLength(found.y, read.product({found.rows, to}), yName);
  return found;
}

void matmul(Info info) {
  const Reader read(info.Env(), "matmul");
  const Mode mode = read.mode(info[4]);
  Linear w = read.matrix(info[2], "w");
  w.bias = read.floatsOrNull(info[3], "bias", w.outFeatures());
  const Rows rows = readRows(read, info, 5, "x", w.inFeatures(), "y", w.outFeatures());
  const Linear* const linears[] = {&w};
  float* const to[] = {rows.y.data};
  kernels().matmul(rows.x.data, rows.rows, linears, 1, mode, to);
}

void matmulGradient(Info info) {
  const Reader read(info.Env(), "matmulGradient");
  const Linear w = read.matrix(info[2], "w");
  const Rows rows = readRows(read, info, 3, "dy", w.outFeatures(), "dx", w.inFeatures());
  kernels().matmulGradient(rows.x.data, rows.rows, w, rows.y.data);
}

void embedding(Info info) {
  const Reader read(info.Env(), "embedding");
  const Linear table = read.matrix(info[1], "table");
  const std::vector<int32_t> ids = read.indices(info[0], "ids", table.outFeatures());
  const Array<float> y = read.floats(info[2], "y");
  read.expectLength(y, read.product({ids.size(), table.inFeatures()}), "y");
  kernels().embedding(ids.data(), ids.size(), table, y.data);
}

}  // namespace

void exportMatrixFunctions(Napi::Env env, Napi::Object exports) {
  exports.Set("matmul", Napi::Function::New(env, matmul, "matmul"));
  exports.Set("matmulGradient", Napi::Function::New(env, matmulGradient, "matmulGradient"));
  exports.Set("embedding", Napi::Function::New(env, embedding, "embedding"));
}

}  // namespace nibblelens
