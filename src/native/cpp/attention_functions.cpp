// Attention and its halves for JavaScript.
#include <memory>

#include "arguments.h"
#include "kernel_functions.h"
#include "kernels.h"

namespace nibblelens {
namespace {

using Info = const Napi::CallbackInfo&;

size_t queryFloats(const Reader& read, const AttentionSizes& sizes) {
  return read.product({sizes.batch, sizes.pos, sizes.heads, sizes.dHead});
}

size_t keyFloats(const Reader& read, const AttentionSizes& sizes) {
  return read.product({sizes.batch, sizes.pos, sizes.kvHeads, sizes.dHead});
}

size_t patternFloats(const Reader& read, const AttentionSizes& sizes, size_t keys) {
  return read.product({sizes.batch, sizes.heads, sizes.pos, keys});
}

Array<float> floatsOf(const Reader& read, const Napi::Value& value, size_t length, const char* what) {
  const Array<float> array = read.floats(value, what);
  read.expectLength(array, length, what);
  return array;
}

void attentionScores(Info info) {
  const Reader read(info.Env(), "attentionScores");
  const AttentionSizes sizes = read.attentionSizes(info[2]);
  const ParsedPast past = parsePast(read, info[3], sizes);
  const float scale = read.number(info[4], "scale");
  const size_t keys = sizes.pos + past.longest;
  const Array<float> q = floatsOf(read, info[0], queryFloats(read, sizes), "q");
  const Array<float> k = floatsOf(read, info[1], keyFloats(read, sizes), "k");
  const Array<float> scores = floatsOf(read, info[5], patternFloats(read, sizes, keys), "scores");
  kernels().attentionScores(q.data, k.data, sizes, past.data(), keys, scale, scores.data);
}

void attentionScoresGradient(Info info) {
  const Reader read(info.Env(), "attentionScoresGradient");
  const AttentionSizes sizes = read.attentionSizes(info[3]);
  const float scale = read.number(info[4], "scale");
  const Array<float> dscores = floatsOf(read, info[0], patternFloats(read, sizes, sizes.pos), "dscores");
  const Array<float> q = floatsOf(read, info[1], queryFloats(read, sizes), "q");
  const Array<float> k = floatsOf(read, info[2], keyFloats(read, sizes), "k");
  const Array<float> dq = floatsOf(read, info[5], q.length, "dq");
  const Array<float> dk = floatsOf(read, info[6], k.length, "dk");
  kernels().attentionScoresGradient(dscores.data, q.data, k.data, sizes, scale, dq.data, dk.data);
}

void attentionMix(Info info) {
  const Reader read(info.Env(), "attentionMix");
  const AttentionSizes sizes = read.attentionSizes(info[2]);
  const ParsedPast past = parsePast(read, info[3], sizes);
  const size_t keys = sizes.pos + past.longest;
  const Array<float> pattern = floatsOf(read, info[0], patternFloats(read, sizes, keys), "pattern");
  const Array<float> v = floatsOf(read, info[1], keyFloats(read, sizes), "v");
  const Array<float> z = floatsOf(read, info[4], queryFloats(read, sizes), "z");
  kernels().attentionMix(pattern.data, v.data, sizes, past.data(), keys, z.data);
}

void attentionMixGradient(Info info) {
  const Reader read(info.Env(), "attentionMixGradient");
  const AttentionSizes sizes = read.attentionSizes(info[3]);
  const Array<float> dz = floatsOf(read, info[0], queryFloats(read, sizes), "dz");
  const Array<float> pattern = floatsOf(read, info[1], patternFloats(read, sizes, sizes.pos), "pattern");
  const Array<float> v = floatsOf(read, info[2], keyFloats(read, sizes), "v");
  const Array<float> dpattern = floatsOf(read, info[4], pattern.length, "dpattern");
  const Array<float> dv = floatsOf(read, info[5], v.length, "dv");
  kernels().attentionMixGradient(dz.data, pattern.data, v.data, sizes, dpattern.data, dv.data);
}

void attention(Info info) {
  const Reader read(info.Env(), "attention");
  const AttentionSizes sizes = read.attentionSizes(info[3]);
  const ParsedPast past = parsePast(read, info[4], sizes);
  const float scale = read.number(info[5], "scale");
  const Array<float> q = floatsOf(read, info[0], queryFloats(read, sizes), "q");
  const Array<float> k = floatsOf(read, info[1], keyFloats(read, sizes), "k");
  const Array<float> v = floatsOf(read, info[2], k.length, "v");
  const Array<float> z = floatsOf(read, info[6], q.length, "z");
  const size_t keys = sizes.pos + past.longest;
  const std::unique_ptr<float[]> workspace(new float[attentionWorkspace(sizes, keys)]);
  kernels().attention(q.data, k.data, v.data, sizes, past.data(), keys, scale, workspace.get(), z.data);
}

}  // namespace

void exportAttentionFunctions(Napi::Env env, Napi::Object exports) {
  exports.Set("attentionScores", Napi::Function::New(env, attentionScores, "attentionScores"));
  exports.Set("attentionScoresGradient",
              Napi::Function::New(env, attentionScoresGradient, "attentionScoresGradient"));
  exports.Set("attentionMix", Napi::Function::New(env, attentionMix, "attentionMix"));
  exports.Set("attentionMixGradient", Napi::Function::New(env, attentionMixGradient, "attentionMixGradient"));
  exports.Set("attention", Napi::Function::New(env, attention, "attention"));
}

}  // namespace nibblelens
