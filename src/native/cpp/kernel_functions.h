// The kernels as JavaScript functions.
#pragma once

#include <napi.h>

namespace nibblelens {

void exportMatrixFunctions(Napi::Env env, Napi::Object exports);
void exportRowFunctions(Napi::Env env, Napi::Object exports);
void exportAttentionFunctions(Napi::Env env, Napi::Object exports);
void exportMemoryFunctions(Napi::Env env, Napi::Object exports);
void exportSamplingFunctions(Napi::Env env, Napi::Object exports);

}  // namespace nibblelens
