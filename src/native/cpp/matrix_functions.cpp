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

void matmulPacked(Info info) {
  const Reader read(info.Env(), "matmulPacked");
  const PackedMatrix w = read.packed(info[2], "w");
  const float* bias = read.floatsOrNull(info[3], "bias", w.outFeatures);
  const Rows rows = readRows(read, info, 4, "x", w.inFeatures, "y", w.outFeatures);
  kernels().matmulPacked(rows.x.data, rows.rows, w, bias, rows.y.data);
}

void matmulPackedGradient(Info info) {
  const Reader read(info.Env(), "matmulPackedGradient");
  const PackedMatrix w = read.packed(info[2], "w");
  const Rows rows = readRows(read, info, 3, "dy", w.outFeatures, "dx", w.inFeatures);
  kernels().matmulPackedGradient(rows.x.data, rows.rows, w, rows.y.data);
}

void matmulDense(Info info) {
  const Reader read(info.Env(), "matmulDense");
  const DenseMatrix w = read.dense(info[2], "w");
  const float* bias = read.floatsOrNull(info[3], "bias", w.outFeatures);
  const Rows rows = readRows(read, info, 4, "x", w.inFeatures, "y", w.outFeatures);
  kernels().matmulDense(rows.x.data, rows.rows, w, bias, rows.y.data);
}

void matmulDenseGradient(Info info) {
  const Reader read(info.Env(), "matmulDenseGradient");
  const DenseMatrix w = read.dense(info[2], "w");
  const Rows rows = readRows(read, info, 3, "dy", w.outFeatures, "dx", w.inFeatures);
  kernels().matmulDenseGradient(rows.x.data, rows.rows, w, rows.y.data);
}

void embedding(Info info) {
  const Reader read(info.Env(), "embedding");
  const DenseMatrix table = read.dense(info[1], "table");
  const std::vector<int32_t> ids = read.indices(info[0], "ids", table.outFeatures);
  const Array<float> y = read.floats(info[2], "y");
  read.expectLength(y, read.product({ids.size(), table.inFeatures}), "y");
  kernels().embedding(ids.data(), ids.size(), table, y.data);
}

}  // namespace

void exportMatrixFunctions(Napi::Env env, Napi::Object exports) {
  exports.Set("matmulPacked", Napi::Function::New(env, matmulPacked, "matmulPacked"));
  exports.Set("matmulPackedGradient", Napi::Function::New(env, matmulPackedGradient, "matmulPackedGradient"));
  exports.Set("matmulDense", Napi::Function::New(env, matmulDense, "matmulDense"));
  exports.Set("matmulDenseGradient", Napi::Function::New(env, matmulDenseGradient, "matmulDenseGradient"));
  exports.Set("embedding", Napi::Function::New(env, embedding, "embedding"));
}

}  // namespace nibblelens
