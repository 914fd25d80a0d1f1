#include "arguments.h"

#include <algorithm>
#include <cmath>

#include "cache_rows.h"

namespace nibblelens {
namespace {

constexpr double kMostSize = 9007199254740991.0;
const char* const kPageArrays = "a Float32Array, Uint16Array or Int8Array";

std::string kindOf(const Napi::Value& value) {
  if (value.IsNull()) return "null";
  if (value.IsUndefined()) return "undefined";
  if (value.IsTypedArray()) {
    static const char* const names[] = {"Int8Array",   "Uint8Array",   "Uint8ClampedArray", "Int16Array",
                                        "Uint16Array", "Int32Array",   "Uint32Array",       "Float32Array",
                                        "Float64Array", "BigInt64Array", "BigUint64Array"};
    const auto type = static_cast<size_t>(value.As<Napi::TypedArray>().TypedArrayType());
    return type < std::size(names) ? names[type] : "a typed array of another kind";
  }
  if (value.IsArray()) return "an array";
  if (value.IsNumber()) return "the number " + value.ToString().Utf8Value();
  if (value.IsString()) return "'" + value.As<Napi::String>().Utf8Value() + "'";
  if (value.IsBoolean()) return value.As<Napi::Boolean>().Value() ? "true" : "false";
  if (value.IsFunction()) return "a function";
  return value.IsObject() ? "an object" : "a value of another kind";
}

bool isNothing(const Napi::Value& value) { return value.IsNull() || value.IsUndefined(); }

}  // namespace

KeptArrays::KeptArrays(Napi::Env env, const char* what)
    : what_(what),
      arrays_(Napi::Persistent(Napi::Array::New(env).As<Napi::Object>())),
      buffers_(Napi::Persistent(Napi::Array::New(env).As<Napi::Object>())) {}

void KeptArrays::add(Napi::Env env, napi_value array, napi_value buffer, const void* bufferData) {
  arrays_.Value().Set(count_++, Napi::Value(env, array));
  if (std::find(seen_.begin(), seen_.end(), bufferData) != seen_.end()) return;
  buffers_.Value().Set(static_cast<uint32_t>(seen_.size()), Napi::Value(env, buffer));
  seen_.push_back(bufferData);
}

void KeptArrays::checkAttached(Napi::Env env) const {
  const Napi::Object buffers = buffers_.Value();
  for (uint32_t i = 0; i < seen_.size(); i++) {
    bool detached = false;
    if (napi_is_detached_arraybuffer(env, buffers.Get(i), &detached) == napi_ok && detached) {
      throw Napi::TypeError::New(env, std::string("buffer of ") + what_ + ": found detached, expected in use");
    }
  }
}

void Reader::typeError(const std::string& thing, const std::string& found, const std::string& expected) const {
  throw Napi::TypeError::New(env_, std::string(call_) + ": " + thing + ": found " + found + ", expected " + expected);
}

void Reader::rangeError(const std::string& thing, const std::string& found, const std::string& expected) const {
  throw Napi::RangeError::New(env_, std::string(call_) + ": " + thing + ": found " + found + ", expected " + expected);
}

Reader::View Reader::view(const Napi::Value& value, const std::string& what, const char* expected) const {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  napi_value buffer;
  size_t offset = 0;
  bool isTyped = false;
  if (napi_is_typedarray(env_, value, &isTyped) != napi_ok || !isTyped ||
      napi_get_typedarray_info(env_, value, &type, &length, &data, &buffer, &offset) != napi_ok) {
    typeError(what, kindOf(value), expected);
  }
  if (keep_) {
    if (Napi::Object(env_, buffer).Get("resizable").ToBoolean()) {
      typeError("buffer of " + what, "resizable", "of a fixed length");
    }
    keep_->add(env_, value, buffer, static_cast<const char*>(data) - offset);
  }
  return {type, data, length};
}

template <typename T>
Array<T> Reader::typed(const Napi::Value& value, const std::string& what, napi_typedarray_type type,
                       const char* expected) const {
  const View found = view(value, what, expected);
  if (found.type != type) typeError(what, kindOf(value), expected);
  return {static_cast<T*>(found.data), found.length};
}

Array<float> Reader::floats(const Napi::Value& value, const std::string& what) const {
  return typed<float>(value, what, napi_float32_array, "a Float32Array");
}

const float* Reader::floatsOrNull(const Napi::Value& value, const std::string& what, size_t length) const {
  if (isNothing(value)) return nullptr;
  const Array<float> array = typed<float>(value, what, napi_float32_array, "a Float32Array or null");
  expectLength(array, length, what);
  return array.data;
}

Array<int32_t> Reader::ints(const Napi::Value& value, const std::string& what) const {
  return typed<int32_t>(value, what, napi_int32_array, "an Int32Array");
}

Array<double> Reader::doubles(const Napi::Value& value, const std::string& what) const {
  return typed<double>(value, what, napi_float64_array, "a Float64Array");
}

std::vector<int32_t> Reader::indices(const Napi::Value& value, const std::string& what, size_t bound) const {
  const Array<int32_t> array = ints(value, what);
  std::vector<int32_t> copy(array.data, array.data + array.length);
  for (size_t i = 0; i < copy.size(); i++) {
    if (copy[i] < 0 || static_cast<size_t>(copy[i]) >= bound) {
      rangeError(what + "[" + std::to_string(i) + "]", std::to_string(copy[i]),
                 "from 0 to below " + std::to_string(bound));
    }
  }
  return copy;
}

size_t Reader::size(const Napi::Value& value, const std::string& what, size_t least) const {
  if (!value.IsNumber()) typeError(what, kindOf(value), "a whole number");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= static_cast<double>(least) && number <= kMostSize) || number != std::floor(number)) {
    rangeError(what, value.ToString().Utf8Value(), "a whole number from " + std::to_string(least) + " on");
  }
  return static_cast<size_t>(number);
}

float Reader::number(const Napi::Value& value, const std::string& what) const {
  if (!value.IsNumber()) typeError(what, kindOf(value), "a finite number");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(std::fabs(number) <= 3.4028234663852886e38)) {
    rangeError(what, value.ToString().Utf8Value(), "a finite number");
  }
  return static_cast<float>(number);
}

bool Reader::boolean(const Napi::Value& value, const std::string& what) const {
  if (!value.IsBoolean()) typeError(what, kindOf(value), "true or false");
  return value.As<Napi::Boolean>().Value();
}

std::string Reader::text(const Napi::Value& value, const std::string& what) const {
  if (!value.IsString()) typeError(what, kindOf(value), "a string");
  return value.As<Napi::String>().Utf8Value();
}

Napi::Object Reader::object(const Napi::Value& value, const std::string& what) const {
  if (!value.IsObject()) typeError(what, kindOf(value), "an object");
  return value.As<Napi::Object>();
}

Napi::Array Reader::list(const Napi::Value& value, const std::string& what) const {
  if (!value.IsArray()) typeError(what, kindOf(value), "an array");
  return value.As<Napi::Array>();
}

size_t Reader::product(std::initializer_list<size_t> factors) const {
  uint64_t result = 1;
  for (const size_t factor : factors) {
    if (factor != 0 && result > UINT64_MAX / factor) rangeError("product of sizes", "over 2^64", "less");
    result *= factor;
  }
  // also leaves room for a byte count in 64 bits
  if (result > static_cast<uint64_t>(kMostSize)) rangeError("product of sizes", std::to_string(result), "below 2^53");
  return static_cast<size_t>(result);
}

FloatType Reader::scales(const Napi::Value& value, const std::string& what, size_t length, const void** data) const {
  const char* expected = "a Uint16Array of float16 bits or a Float32Array";
  const View found = view(value, what, expected);
  if (found.type != napi_uint16_array && found.type != napi_float32_array) typeError(what, kindOf(value), expected);
  expectLength(Array<void>{found.data, found.length}, length, what);
  *data = found.data;
  return found.type == napi_uint16_array ? FloatType::f16 : FloatType::f32;
}

PackedMatrix Reader::packed(const Napi::Value& value, const std::string& what) const {
  const Napi::Object from = object(value, what);
  if (text(from.Get("kind"), what + ".kind") != "packed") {
    typeError(what + ".kind", kindOf(from.Get("kind")), "'packed'");
  }
  PackedMatrix w;
  w.bits = size(from.Get("bits"), what + ".bits");
  if (w.bits < 2 || w.bits > 8 || w.bits == 7) rangeError(what + ".bits", std::to_string(w.bits), "2, 3, 4, 5, 6 or 8");
  w.outFeatures = size(from.Get("outFeatures"), what + ".outFeatures", 1);
  w.inFeatures = size(from.Get("inFeatures"), what + ".inFeatures", 1);
  w.groupSize = std::min(size(from.Get("groupSize"), what + ".groupSize", 1), w.inFeatures);
  w.groups = (w.inFeatures - 1) / w.groupSize + 1;
  product({w.outFeatures, w.inFeatures, w.bits});
  const size_t panels = PackedMatrix::panelsOf(w.outFeatures);
  const Napi::Value codes = from.Get("codes");
  const Napi::Value scaleValues = from.Get("scales");
  const Napi::Value zeros = from.Get("zeros");
  const Napi::Value offsets = from.Get("offsets");

  const Array<uint8_t> bytes = typed<uint8_t>(codes, what + ".codes", napi_uint8_array, "a Uint8Array");
  expectLength(bytes, product({panels, PackedMatrix::blocksOf(w.inFeatures), w.bits, kLine}), what + ".codes");
  w.codes = bytes.data;
  const size_t groups = product({panels, w.groups, kPanel});
  w.scaleType = scales(scaleValues, what + ".scales", groups, &w.scales);
  if (!isNothing(zeros)) {
    const Array<uint8_t> array = typed<uint8_t>(zeros, what + ".zeros", napi_uint8_array, "a Uint8Array or null");
    expectLength(array, groups, what + ".zeros");
    w.zeros = array.data;
  }
  if (!isNothing(offsets)) {
    if (w.zeros) typeError(what + ".offsets", "offsets beside zeros", "one of both");
    if (scales(offsets, what + ".offsets", groups, &w.offsets) != w.scaleType) {
      typeError(what + ".offsets", kindOf(offsets), "the type of scales");
    }
  }
  return w;
}

DenseMatrix Reader::dense(const Napi::Value& value, const std::string& what) const {
  const Napi::Object from = object(value, what);
  if (text(from.Get("kind"), what + ".kind") != "dense") {
    typeError(what + ".kind", kindOf(from.Get("kind")), "'dense'");
  }
  DenseMatrix w;
  w.outFeatures = size(from.Get("outFeatures"), what + ".outFeatures", 1);
  w.inFeatures = size(from.Get("inFeatures"), what + ".inFeatures", 1);
  const std::string dtype = text(from.Get("dtype"), what + ".dtype");
  if (dtype == "f32") w.type = FloatType::f32;
  else if (dtype == "f16") w.type = FloatType::f16;
  else if (dtype == "bf16") w.type = FloatType::bf16;
  else typeError(what + ".dtype", "'" + dtype + "'", "'f32', 'f16' or 'bf16'");
  const bool wide = w.type == FloatType::f32;
  const char* expected = wide ? "a Float32Array" : "a Uint16Array";
  const Napi::Value values = from.Get("values");
  const View found = view(values, what + ".values", expected);
  if (found.type != (wide ? napi_float32_array : napi_uint16_array)) {
    typeError(what + ".values", kindOf(values), expected);
  }
  expectLength(Array<void>{found.data, found.length}, product({w.outFeatures, w.inFeatures}), what + ".values");
  w.values = found.data;
  return w;
}

Mode Reader::mode(const Napi::Value& value) const {
  const std::string name = text(value, "mode");
  if (name != "exact" && name != "fast") rangeError("mode", "'" + name + "'", "'exact' or 'fast'");
  return name == "fast" ? Mode::fast : Mode::exact;
}

Linear Reader::matrix(const Napi::Value& value, const std::string& what) const {
  Linear linear;
  linear.isPacked = text(object(value, what).Get("kind"), what + ".kind") == "packed";
  if (linear.isPacked) linear.packed = packed(value, what);
  else linear.dense = dense(value, what);
  return linear;
}

Linear Reader::matrix(const Napi::Value& value, const std::string& what, size_t outFeatures, size_t inFeatures) const {
  const Linear linear = matrix(value, what);
  const size_t out = linear.outFeatures();
  const size_t in = linear.inFeatures();
  if (out != outFeatures || in != inFeatures) {
    rangeError("shape of " + what, "[" + std::to_string(out) + ", " + std::to_string(in) + "]",
               "[" + std::to_string(outFeatures) + ", " + std::to_string(inFeatures) + "]");
  }
  return linear;
}

Linear Reader::linear(const Napi::Value& value, const std::string& what, size_t outFeatures, size_t inFeatures) const {
  const Napi::Object from = object(value, what);
  Linear linear = matrix(from.Get("weight"), what + ".weight", outFeatures, inFeatures);
  linear.bias = floatsOrNull(from.Get("bias"), what + ".bias", outFeatures);
  return linear;
}

AttentionSizes Reader::attentionSizes(const Napi::Value& value) const {
  const Napi::Object from = object(value, "sizes");
  AttentionSizes sizes;
  sizes.batch = size(from.Get("batch"), "sizes.batch");
  sizes.pos = size(from.Get("pos"), "sizes.pos");
  sizes.heads = size(from.Get("heads"), "sizes.heads", 1);
  sizes.kvHeads = size(from.Get("kvHeads"), "sizes.kvHeads", 1);
  sizes.dHead = size(from.Get("dHead"), "sizes.dHead", 1);
  sizes.layers = size(from.Get("layers"), "sizes.layers", 1);
  if (sizes.heads % sizes.kvHeads != 0) {
    rangeError("sizes.heads", std::to_string(sizes.heads), "a multiple of kvHeads " + std::to_string(sizes.kvHeads));
  }
  product({sizes.layers, 2, sizes.kvHeads, kPagePositions, sizes.dHead});
  return sizes;
}

std::vector<Napi::Value> Reader::pageList(const Napi::Value& value, const std::string& what, size_t positions) const {
  const Napi::Array from = list(value, what);
  const size_t needed = positions / kPagePositions + (positions % kPagePositions != 0);
  if (from.Length() < needed) {
    rangeError("length of " + what, std::to_string(from.Length()),
               "at least " + std::to_string(needed) + " for " + std::to_string(positions) + " positions");
  }
  std::vector<Napi::Value> pages;
  for (uint32_t i = 0; i < needed; i++) {
    pages.push_back(from.Get(i));
    // a list of holes may be of any length
    if (!pages.back().IsTypedArray()) {
      typeError(what + "[" + std::to_string(i) + "]", kindOf(pages.back()), kPageArrays);
    }
  }
  return pages;
}

CachePages Reader::pages(const std::vector<Napi::Value>& list, const std::string& what,
                         const AttentionSizes& sizes) const {
  CachePages pages;
  for (const Napi::Value& value : list) {
    const std::string name = what + "[" + std::to_string(pages.data.size()) + "]";
    const View found = view(value, name, kPageArrays);
    CacheType type = CacheType::f32;
    size_t elementBytes = sizeof(float);
    if (found.type == napi_uint16_array) {
      type = CacheType::f16;
      elementBytes = sizeof(uint16_t);
    } else if (found.type == napi_int8_array) {
      type = CacheType::int8;
      elementBytes = sizeof(int8_t);
    } else if (found.type != napi_float32_array) {
      typeError(name, kindOf(value), kPageArrays);
    }
    if (!pages.data.empty() && type != pages.type) typeError(name, kindOf(value), "as " + what + "[0]");
    pages.type = type;
    expectLength(Array<void>{found.data, found.length}, cachePageBytes(type, sizes) / elementBytes, name);
    pages.data.push_back(found.data);
  }
  return pages;
}

ParsedPast parsePast(const Reader& read, const Napi::Value& value, const AttentionSizes& sizes) {
  ParsedPast past;
  if (isNothing(value)) return past;
  const Napi::Array from = read.list(value, "past");
  if (from.Length() != sizes.batch) {
    read.rangeError("length of past", std::to_string(from.Length()), std::to_string(sizes.batch));
  }
  std::vector<std::vector<Napi::Value>> lists;
  for (uint32_t i = 0; i < sizes.batch; i++) {
    const std::string name = "past[" + std::to_string(i) + "]";
    const Napi::Object entry = read.object(from.Get(i), name);
    CachedPositions sequence;
    sequence.length = read.size(entry.Get("length"), name + ".length");
    sequence.layer = read.size(entry.Get("layer"), name + ".layer");
    if (sequence.layer >= sizes.layers) {
      read.rangeError(name + ".layer", std::to_string(sequence.layer), "below " + std::to_string(sizes.layers));
    }
    lists.push_back(read.pageList(entry.Get("pages"), name + ".pages", sequence.length));
    past.sequences.push_back(sequence);
    past.longest = std::max(past.longest, sequence.length);
  }
  for (size_t i = 0; i < sizes.batch; i++) {
    past.pages.push_back(read.pages(lists[i], "past[" + std::to_string(i) + "].pages", sizes));
    past.sequences[i].type = past.pages.back().type;
    past.sequences[i].pages = past.pages.back().data.data();
  }
  return past;
}

}  // namespace nibblelens
