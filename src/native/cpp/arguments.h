// Arguments from JavaScript: parsed and checked here, so that kernels can trust them. What is wrong in kind throws a
// TypeError, what is wrong in size a RangeError; both name the argument, what was found and what was expected.
#pragma once

#include <napi.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "decoder.h"
#include "storage.h"

namespace nibblelens {

template <typename T>
struct Array {
  T* data = nullptr;
  size_t length = 0;
};

/**
 * Keeps arrays alive beyond a call. Their buffers can still be detached (transferred) by JavaScript: `checkAttached`
 * throws a TypeError then.
 */
class KeptArrays {
 public:
  /** `what` names them in errors. */
  KeptArrays(Napi::Env env, const char* what);
  void add(Napi::Env env, napi_value array, napi_value buffer, const void* bufferData);
  void checkAttached(Napi::Env env) const;

 private:
  const char* what_;
  Napi::ObjectReference arrays_;
  Napi::ObjectReference buffers_;
  std::vector<const void*> seen_;
  uint32_t count_ = 0;
};

/**
 * Reads values of one call; `keep`, if given, holds every array read, and takes none whose buffer may be resized.
 *
 * Getters and proxies run JavaScript, which may detach an array read before. So what belongs to objects is fetched
 * before the first array is looked at, or `keep` is asked for `checkAttached` at the end.
 */
class Reader {
 public:
  Reader(Napi::Env env, const char* call, KeptArrays* keep = nullptr) : env_(env), call_(call), keep_(keep) {}

  Array<float> floats(const Napi::Value& value, const std::string& what) const;
  /** Null for null; otherwise `length` floats. */
  const float* floatsOrNull(const Napi::Value& value, const std::string& what, size_t length) const;
  Array<int32_t> ints(const Napi::Value& value, const std::string& what) const;
  Array<double> doubles(const Napi::Value& value, const std::string& what) const;
  /** A copy of an Int32Array whose every element is from 0 to below `bound`: nobody changes it once it is checked. */
  std::vector<int32_t> indices(const Napi::Value& value, const std::string& what, size_t bound) const;
  /** A whole number from `least` to 2^53 − 1. */
  size_t size(const Napi::Value& value, const std::string& what, size_t least = 0) const;
  /** A finite number. */
  float number(const Napi::Value& value, const std::string& what) const;
  bool boolean(const Napi::Value& value, const std::string& what) const;
  std::string text(const Napi::Value& value, const std::string& what) const;
  Napi::Object object(const Napi::Value& value, const std::string& what) const;
  Napi::Array list(const Napi::Value& value, const std::string& what) const;

  /** 'exact' or 'fast'. */
  Mode mode(const Napi::Value& value) const;
  /** A matrix of either kind, without a bias. */
  Linear matrix(const Napi::Value& value, const std::string& what) const;
  Linear matrix(const Napi::Value& value, const std::string& what, size_t outFeatures, size_t inFeatures) const;
  Linear linear(const Napi::Value& value, const std::string& what, size_t outFeatures, size_t inFeatures) const;
  AttentionSizes attentionSizes(const Napi::Value& value) const;
  /** The list of a cache's pages, as far as `positions` positions need them. */
  std::vector<Napi::Value> pageList(const Napi::Value& value, const std::string& what, size_t positions) const;
  /** The pages of such a list, all of one kind of array and as long as `sizes` say. */
  CachePages pages(const std::vector<Napi::Value>& list, const std::string& what, const AttentionSizes& sizes) const;

  /** The product, or a RangeError where it overflows. */
  size_t product(std::initializer_list<size_t> factors) const;
  template <typename T>
  void expectLength(const Array<T>& array, size_t length, const std::string& what) const {
    if (array.length != length) rangeError("length of " + what, std::to_string(array.length), std::to_string(length));
  }

  [[noreturn]] void typeError(const std::string& thing, const std::string& found, const std::string& expected) const;
  [[noreturn]] void rangeError(const std::string& thing, const std::string& found, const std::string& expected) const;

 private:
  PackedMatrix packed(const Napi::Value& value, const std::string& what) const;
  DenseMatrix dense(const Napi::Value& value, const std::string& what) const;
  struct View {
    napi_typedarray_type type;
    void* data;
    size_t length;
  };
  View view(const Napi::Value& value, const std::string& what, const char* expected) const;
  template <typename T>
  Array<T> typed(const Napi::Value& value, const std::string& what, napi_typedarray_type type,
                 const char* expected) const;
  /** f16 bits in a Uint16Array, or a Float32Array. */
  FloatType scales(const Napi::Value& value, const std::string& what, size_t length, const void** data) const;

  Napi::Env env_;
  const char* call_;
  KeptArrays* keep_;
};

/** Past positions of every batch element as attention kernels take them, with what they point to. */
struct ParsedPast {
  std::vector<CachePages> pages;
  std::vector<CachedPositions> sequences;
  size_t longest = 0;

  const CachedPositions* data() const { return sequences.empty() ? nullptr : sequences.data(); }
};

ParsedPast parsePast(const Reader& read, const Napi::Value& value, const AttentionSizes& sizes);

}  // namespace nibblelens
