// What `native.ts` declares: the addon's surface.
#include <napi.h>

#include <cstring>
#include <memory>

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include "arguments.h"
#include "decoder_object.h"
#include "kernel_functions.h"
#include "kernels.h"
#include "mapping.h"
#include "thread_pool.h"

namespace nibblelens {
namespace {

/** NATIVE_INTERFACE of native.ts. */
constexpr int kInterface = 5;
/** LONGEST_MAPPING of native.ts. */
constexpr size_t kLongestMapping = size_t{1} << 32;

#if defined(__clang__)
constexpr const char* kCompiler = __VERSION__;
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

/** What one JavaScript environment (main thread or worker) has of the addon. */
struct Environment {
  Napi::FunctionReference decoderClass;
};

using Info = const Napi::CallbackInfo&;

/** The pool's threads run this library's code, so it must stay loaded when the worker that loaded it ends. */
void stayLoaded() {
#ifdef _WIN32
  HMODULE module;
  GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                     reinterpret_cast<LPCSTR>(&stayLoaded), &module);
#else
  Dl_info own;
  if (dladdr(reinterpret_cast<void*>(&stayLoaded), &own)) dlopen(own.dli_fname, RTLD_NOW | RTLD_NODELETE);
#endif
}

Napi::Value info(Info call) {
  const Napi::Env env = call.Env();
  Napi::Array available = Napi::Array::New(env);
  for (const Kernels* table : availableKernels()) {
    available.Set(available.Length(), Napi::String::New(env, table->name));
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("isa", kernels().name);
  result.Set("available", available);
  result.Set("threads", threadCount());
  result.Set("compiler", kCompiler);
  return result;
}

void setThreads(Info call) {
  const Reader read(call.Env(), "setThreads");
  const size_t count = read.size(call[0], "count", 1);
  if (count > kMaxThreads) read.rangeError("count", std::to_string(count), "1 to " + std::to_string(kMaxThreads));
  setThreadCount(static_cast<int>(count));
}

void setIsa(Info call) {
  const Reader read(call.Env(), "setIsa");
  const std::string name = read.text(call[0], "isa");
  if (!useKernels(name)) read.rangeError("isa", "'" + name + "'", "one that info().available lists");
}

/** As Node's own file errors: with `code`, `errno` and `path`. */
[[noreturn]] void throwFileError(Napi::Env env, const Mapping& mapping, const std::string& path) {
  const auto codeOf = [](int error) -> const char* {
    switch (error) {
      case ENOENT: return "ENOENT";
      case EACCES: return "EACCES";
      case EPERM: return "EPERM";
      case EISDIR: return "EISDIR";
      case ENOTDIR: return "ENOTDIR";
      case ENOMEM: return "ENOMEM";
      case EMFILE: return "EMFILE";
      case ENFILE: return "ENFILE";
      case EINVAL: return "EINVAL";
      case ELOOP: return "ELOOP";
      case ENAMETOOLONG: return "ENAMETOOLONG";
      case ENODEV: return "ENODEV";
      case ERANGE: return "ERANGE";
      default: return "EIO";
    }
  };
  const std::string code = codeOf(mapping.error);
  Napi::Error error = Napi::Error::New(
      env, code + ": " + std::strerror(mapping.error) + ", " + mapping.failed + " '" + path + "'");
  error.Set("code", Napi::String::New(env, code));
  error.Set("errno", Napi::Number::New(env, -mapping.error));
  error.Set("syscall", Napi::String::New(env, mapping.failed));
  error.Set("path", Napi::String::New(env, path));
  throw error;
}

/** A buffer that releases the mapping when it is collected. */
Napi::Value bufferOf(Napi::Env env, const Mapping& mapping, size_t length) {
  auto held = std::make_unique<Mapping>(mapping);
  try {
    const Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(
        env, mapping.data, length,
        [](Napi::BasicEnv, void*, Mapping* own) {
          releaseMapping(*own);
          delete own;
        },
        held.get());
    held.release();
    return buffer;
  } catch (const Napi::Error&) {
    releaseMapping(mapping);
    throw;
  }
}

/** Beyond the longest, creating the buffer fails in a way that leaves unclear who releases the mapping. */
size_t mappingLength(const Reader& read, const Napi::Value& value) {
  const size_t length = read.size(value, "length", 1);
  if (length > kLongestMapping) read.rangeError("length", std::to_string(length), "at most 2^32");
  return length;
}

Napi::Value mapFileFunction(Info call) {
  const Napi::Env env = call.Env();
  const Reader read(env, "mapFile");
  const std::string path = read.text(call[0], "path");
  if (path.find('\0') != std::string::npos) read.typeError("path", "a string with a NUL", "a path");
  const size_t offset = read.size(call[1], "offset");
  const size_t length = mappingLength(read, call[2]);
  const Mapping mapping = mapFile(path, offset, length);
  if (mapping.error != 0) throwFileError(env, mapping, path);
  return bufferOf(env, mapping, length);
}

Napi::Value allocate(Info call) {
  const Napi::Env env = call.Env();
  const size_t length = mappingLength(Reader(env, "allocate"), call[0]);
  const Mapping mapping = allocatePages(length);
  if (mapping.error != 0) throw Napi::RangeError::New(env, kNoMemory);
  return bufferOf(env, mapping, length);
}

Napi::Value createDecoder(Info call) {
  return call.Env().GetInstanceData<Environment>()->decoderClass.New({call[0]});
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  stayLoaded();
  auto* environment = new Environment{Napi::Persistent(DecoderObject::define(env))};
  env.SetInstanceData(environment);
  exports.Set("interface", kInterface);
  exports.Set("info", Napi::Function::New(env, info, "info"));
  exports.Set("setThreads", Napi::Function::New(env, setThreads, "setThreads"));
  exports.Set("setIsa", Napi::Function::New(env, setIsa, "setIsa"));
  exports.Set("mapFile", Napi::Function::New(env, mapFileFunction, "mapFile"));
  exports.Set("allocate", Napi::Function::New(env, allocate, "allocate"));
  exports.Set("createDecoder", Napi::Function::New(env, createDecoder, "createDecoder"));
  exportMatrixFunctions(env, exports);
  exportRowFunctions(env, exports);
  exportAttentionFunctions(env, exports);
  exportMemoryFunctions(env, exports);
  exportSamplingFunctions(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(nibblelens, initialise)

}  // namespace nibblelens
