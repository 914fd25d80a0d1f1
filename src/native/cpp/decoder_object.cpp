#include "decoder_object.h"

#include <algorithm>
#include <limits>
#include <new>

namespace nibblelens {
namespace {

Array<float> floatsOf(const Reader& read, const Napi::Value& value, size_t length, const std::string& what) {
  const Array<float> array = read.floats(value, what);
  read.expectLength(array, length, what);
  return array;
}

DecoderSpec parseSpec(const Reader& read, const Napi::Value& value) {
  const Napi::Object from = read.object(value, "spec");
  const auto size = [&](const char* name) { return read.size(from.Get(name), name, 1); };
  DecoderSpec spec;
  spec.dModel = size("dModel");
  spec.heads = size("heads");
  spec.kvHeads = size("kvHeads");
  spec.dHead = size("dHead");
  spec.dFf = size("dFf");
  spec.vocabSize = size("vocabSize");
  spec.contextLength = size("contextLength");
  spec.rmsNormEps = read.number(from.Get("rmsNormEps"), "rmsNormEps");
  spec.attentionScale = read.number(from.Get("attentionScale"), "attentionScale");
  if (spec.rmsNormEps < 0) read.rangeError("rmsNormEps", std::to_string(spec.rmsNormEps), "0 or more");
  if (spec.heads % spec.kvHeads != 0) {
    read.rangeError("heads", std::to_string(spec.heads), "a multiple of kvHeads " + std::to_string(spec.kvHeads));
  }
  if (spec.dHead % 2 != 0) read.rangeError("dHead", std::to_string(spec.dHead), "an even number");
  constexpr size_t kMostPositions = std::numeric_limits<int32_t>::max();
  if (spec.contextLength > kMostPositions) {
    read.rangeError("contextLength", std::to_string(spec.contextLength), "below 2^31");
  }

  spec.mode = read.mode(from.Get("mode"));
  spec.embedding = read.matrix(from.Get("embedding"), "embedding", spec.vocabSize, spec.dModel);
  const size_t qWidth = read.product({spec.heads, spec.dHead});
  const size_t kvWidth = read.product({spec.kvHeads, spec.dHead});
  const Napi::Array layers = read.list(from.Get("layers"), "layers");
  for (uint32_t i = 0; i < layers.Length(); i++) {
    const std::string name = "layers[" + std::to_string(i) + "]";
    const Napi::Object layer = read.object(layers.Get(i), name);
    const auto linear = [&](const char* part, size_t out, size_t in) {
      return read.linear(layer.Get(part), name + "." + part, out, in);
    };
    const auto gain = [&](const char* part) {
      return floatsOf(read, layer.Get(part), spec.dModel, name + "." + part).data;
    };
    spec.layers.push_back({gain("inputNorm"), linear("q", qWidth, spec.dModel), linear("k", kvWidth, spec.dModel),
                           linear("v", kvWidth, spec.dModel), linear("o", spec.dModel, qWidth),
                           gain("postAttentionNorm"), linear("gate", spec.dFf, spec.dModel),
                           linear("up", spec.dFf, spec.dModel), linear("down", spec.dModel, spec.dFf)});
  }
  if (spec.layers.empty()) read.rangeError("length of layers", "0", "1 or more");
  spec.finalNorm = floatsOf(read, from.Get("finalNorm"), spec.dModel, "finalNorm").data;
  spec.lmHead = read.linear(from.Get("lmHead"), "lmHead", spec.vocabSize, spec.dModel);
  const size_t angles = read.product({spec.contextLength, spec.dHead / 2});
  spec.cos = floatsOf(read, from.Get("cos"), angles, "cos").data;
  spec.sin = floatsOf(read, from.Get("sin"), angles, "sin").data;
  read.product({spec.layers.size(), 2, kvWidth, kPagePositions});
  return spec;
}

/** Point and layer of a hook's name; a TypeError for an unknown one. */
Capture parseName(const Reader& read, const std::string& name, size_t layers) {
  std::string point = name;
  size_t layer = 0;
  const bool inLayer = name.rfind("blocks.", 0) == 0;
  if (inLayer) {
    const size_t start = 7;
    size_t end = start;
    while (end < name.size() && name[end] >= '0' && name[end] <= '9' && end - start < 9) {
      layer = layer * 10 + static_cast<size_t>(name[end] - '0');
      end++;
    }
    const bool canonical = end == start + 1 || (end > start && name[start] != '0');
    if (!canonical || end == name.size() || name[end] != '.' || layer >= layers) {
      read.typeError("capture", "'" + name + "'", "a hook name of one of " + std::to_string(layers) + " layers");
    }
    point = name.substr(end + 1);
  }
  for (const PointName& known : pointNames()) {
    if (point == known.name && inLayer == (known.point >= Point::residPre)) return {known.point, layer, nullptr};
  }
  read.typeError("capture", "'" + name + "'", "a hook name");
}

}  // namespace

Napi::Function DecoderObject::define(Napi::Env env) {
  return DefineClass(env, "NativeDecoder",
                     {InstanceMethod<&DecoderObject::step>("step"),
                      InstanceMethod<&DecoderObject::stepAsync>("stepAsync")});
}

DecoderObject::DecoderObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<DecoderObject>(info),
      weights_(std::make_unique<KeptArrays>(info.Env(), "the decoder's weights")) {
  decoder_ = std::make_unique<Decoder>(parseSpec(Reader(info.Env(), "createDecoder", weights_.get()), info[0]));
}

void DecoderObject::Finalize(Napi::BasicEnv env) { reportMemory(env, 0); }

void DecoderObject::reportMemory(Napi::BasicEnv env, size_t bytes) {
  const auto now = static_cast<int64_t>(bytes);
  int64_t all;
  if (now != reportedBytes_) napi_adjust_external_memory(env, now - reportedBytes_, &all);
  reportedBytes_ = now;
}

DecoderStep DecoderObject::parseStep(Napi::Env env, const char* call, const Napi::Value& value,
                                     KeptArrays& arrays) const {
  const Reader read(env, call, &arrays);
  const DecoderSpec& spec = decoder_->spec();
  const Napi::Object from = read.object(value, "step");
  DecoderStep step;
  step.batch = read.size(from.Get("batch"), "batch", 1);
  step.pos = read.size(from.Get("pos"), "pos", 1);
  step.ids = read.indices(from.Get("ids"), "ids", spec.vocabSize);
  const size_t rows = read.product({step.batch, step.pos});
  if (step.ids.size() != rows) {
    read.rangeError("length of ids", std::to_string(step.ids.size()), std::to_string(rows));
  }

  const Napi::Array sequences = read.list(from.Get("sequences"), "sequences");
  if (sequences.Length() != step.batch) {
    read.rangeError("length of sequences", std::to_string(sequences.Length()), std::to_string(step.batch));
  }
  const AttentionSizes sizes{step.batch, step.pos, spec.heads, spec.kvHeads, spec.dHead, spec.layers.size()};
  for (uint32_t i = 0; i < sequences.Length(); i++) {
    const std::string name = "sequences[" + std::to_string(i) + "]";
    const Napi::Object sequence = read.object(sequences.Get(i), name);
    const size_t length = read.size(sequence.Get("length"), name + ".length");
    if (length + step.pos > spec.contextLength) {
      read.rangeError(name + ".length + pos", std::to_string(length + step.pos),
                      "at most " + std::to_string(spec.contextLength));
    }
    const std::vector<Napi::Value> pages = read.pageList(sequence.Get("pages"), name + ".pages", length + step.pos);
    step.sequences.push_back({read.pages(pages, name + ".pages", sizes), length});
  }
  // so that pointFloats cannot overflow
  read.product({rows, std::max({spec.dModel, spec.heads * spec.dHead, spec.dFf, spec.vocabSize})});
  read.product({rows, spec.heads, step.keys()});

  step.allLogits = read.boolean(from.Get("allLogits"), "allLogits");
  step.logits =
      floatsOf(read, from.Get("logits"), read.product({step.outputRows(), spec.vocabSize}), "logits").data;
  const Napi::Array captures = read.list(from.Get("captures"), "captures");
  for (uint32_t i = 0; i < captures.Length(); i++) {
    const Napi::Object entry = read.object(captures.Get(i), "captures[" + std::to_string(i) + "]");
    const std::string name = read.text(entry.Get("name"), "name of a capture");
    Capture capture = parseName(read, name, spec.layers.size());
    capture.to = floatsOf(read, entry.Get("values"), pointFloats(capture.point, spec, step), name).data;
    step.captures.push_back(capture);
  }
  const Napi::Value abort = from.Get("abort");
  if (!abort.IsNull() && !abort.IsUndefined()) {
    const Array<int32_t> flag = read.ints(abort, "abort");
    if (flag.length == 0) read.rangeError("length of abort", "0", "1 or more");
    step.abort = flag.data;
  }
  arrays.checkAttached(env);
  weights_->checkAttached(env);
  return step;
}

Napi::Value DecoderObject::step(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  KeptArrays arrays(env, "the step");
  const DecoderStep step = parseStep(env, "step", info[0], arrays);
  try {
    const bool finished = decoder_->run(step);
    reportMemory(env, decoder_->bufferBytes());
    return Napi::Boolean::New(env, finished);
  } catch (const std::bad_alloc&) {
    throw Napi::RangeError::New(env, kNoMemory);
  }
}

Napi::Value DecoderObject::stepAsync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  try {
    auto arrays = std::make_unique<KeptArrays>(env, "the step");
    DecoderStep step = parseStep(env, "stepAsync", info[0], *arrays);
    if (!queue_) {
      const auto report = [this, env] { reportMemory(env, decoder_->bufferBytes()); };
      queue_ = std::make_unique<StepQueue>(env, *decoder_, report);
    }
    return queue_->add(Value(), std::move(step), std::move(arrays));
  } catch (const Napi::Error& error) {
    const auto deferred = Napi::Promise::Deferred::New(env);
    deferred.Reject(error.Value());
    return deferred.Promise();
  }
}

}  // namespace nibblelens
