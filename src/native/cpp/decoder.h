// A whole decoder step in one call: the same kernels in the same order as `model/llama-model.ts`, hence the same bits.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "storage.h"

namespace nibblelens {

struct DecoderLayer {
  const float* inputNorm = nullptr;
  Linear q, k, v, o;
  const float* postAttentionNorm = nullptr;
  Linear gate, up, down;
};

struct DecoderSpec {
  size_t dModel = 0;
  size_t heads = 0;
  size_t kvHeads = 0;
  size_t dHead = 0;
  size_t dFf = 0;
  size_t vocabSize = 0;
  size_t contextLength = 0;
  float rmsNormEps = 0;
  float attentionScale = 0;
  Mode mode = Mode::exact;
  Linear embedding;
  std::vector<DecoderLayer> layers;
  const float* finalNorm = nullptr;
  Linear lmHead;
  const float* cos = nullptr;
  const float* sin = nullptr;
};

/** The named points of `layers/hook-names.ts` that stand outside layers, then those of each layer. */
enum class Point {
  embed, finalScale, finalNormalized, unembedIn, unembedOut,
  residPre, ln1Scale, ln1Normalized, qIn, qOut, kIn, kOut, vIn, vOut, q, k, v, rotQ, rotK, attnScores, pattern, z,
  oIn, oOut, attnOut, residMid, ln2Scale, ln2Normalized, gateIn, gateOut, upIn, upOut, mlpPre, mlpPreLinear, mlpPost,
  downIn, downOut, mlpOut, residPost,
};

struct PointName {
  Point point;
  const char* name;
};

/** All points; those from residPre on are named `blocks.N.` and this. */
const std::vector<PointName>& pointNames();

struct Capture {
  Point point;
  /** 0 for points outside layers. */
  size_t layer;
  float* to;
};

/** Pages of a sequence, written at positions from `length` on. */
struct DecoderSequence {
  CachePages pages;
  size_t length = 0;
};

struct DecoderStep {
  std::vector<int32_t> ids;
  size_t batch = 0;
  size_t pos = 0;
  std::vector<DecoderSequence> sequences;
  float* logits = nullptr;
  bool allLogits = false;
  std::vector<Capture> captures;
  /** Non-zero stops between layers; may be null. JavaScript's. */
  const int32_t* abort = nullptr;
  /** The same, of the thread that runs the step. */
  const std::atomic<bool>* stop = nullptr;

  /** Keys of the longest sequence. */
  size_t keys() const;
  /** Rows of the final norm and the logits. */
  size_t outputRows() const { return allLogits ? batch * pos : batch; }
};

/** Floats of a point's tensor in this step. */
size_t pointFloats(Point point, const DecoderSpec& spec, const DecoderStep& step);

/** Several steps may run at once, on different sequences: each has buffers of its own. */
class Decoder {
 public:
  explicit Decoder(DecoderSpec spec);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  const DecoderSpec& spec() const { return spec_; }
  /** False where `abort` or `stop` was seen. Throws std::bad_alloc. */
  bool run(const DecoderStep& step);
  /** Of the buffers kept for later steps, which are as large as the largest step so far needed. */
  size_t bufferBytes();

 private:
  struct Buffers;
  std::unique_ptr<Buffers> borrowBuffers();

  const DecoderSpec spec_;
  std::mutex lock_;
  std::vector<std::unique_ptr<Buffers>> idle_;
};

}  // namespace nibblelens
