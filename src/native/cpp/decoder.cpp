#include "decoder.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "cache_rows.h"
#include "kernels.h"

namespace nibblelens {

const std::vector<PointName>& pointNames() {
  static const auto* const names = new std::vector<PointName>{
      {Point::embed, "hook_embed"},
      {Point::finalScale, "ln_final.hook_scale"},
      {Point::finalNormalized, "ln_final.hook_normalized"},
      {Point::unembedIn, "unembed.hook_in"},
      {Point::unembedOut, "unembed.hook_out"},
      {Point::residPre, "hook_resid_pre"},
      {Point::ln1Scale, "ln1.hook_scale"},
      {Point::ln1Normalized, "ln1.hook_normalized"},
      {Point::qIn, "attn.q_proj.hook_in"},
      {Point::qOut, "attn.q_proj.hook_out"},
      {Point::kIn, "attn.k_proj.hook_in"},
      {Point::kOut, "attn.k_proj.hook_out"},
      {Point::vIn, "attn.v_proj.hook_in"},
      {Point::vOut, "attn.v_proj.hook_out"},
      {Point::q, "attn.hook_q"},
      {Point::k, "attn.hook_k"},
      {Point::v, "attn.hook_v"},
      {Point::rotQ, "attn.hook_rot_q"},
      {Point::rotK, "attn.hook_rot_k"},
      {Point::attnScores, "attn.hook_attn_scores"},
      {Point::pattern, "attn.hook_pattern"},
      {Point::z, "attn.hook_z"},
      {Point::oIn, "attn.o_proj.hook_in"},
      {Point::oOut, "attn.o_proj.hook_out"},
      {Point::attnOut, "hook_attn_out"},
      {Point::residMid, "hook_resid_mid"},
      {Point::ln2Scale, "ln2.hook_scale"},
      {Point::ln2Normalized, "ln2.hook_normalized"},
      {Point::gateIn, "mlp.gate_proj.hook_in"},
      {Point::gateOut, "mlp.gate_proj.hook_out"},
      {Point::upIn, "mlp.up_proj.hook_in"},
      {Point::upOut, "mlp.up_proj.hook_out"},
      {Point::mlpPre, "mlp.hook_pre"},
      {Point::mlpPreLinear, "mlp.hook_pre_linear"},
      {Point::mlpPost, "mlp.hook_post"},
      {Point::downIn, "mlp.down_proj.hook_in"},
      {Point::downOut, "mlp.down_proj.hook_out"},
      {Point::mlpOut, "hook_mlp_out"},
      {Point::residPost, "hook_resid_post"},
  };
  return *names;
}

size_t DecoderStep::keys() const {
  size_t longest = 0;
  for (const DecoderSequence& sequence : sequences) longest = std::max(longest, sequence.length);
  return longest + pos;
}

size_t pointFloats(Point point, const DecoderSpec& spec, const DecoderStep& step) {
  const size_t rows = step.batch * step.pos;
  switch (point) {
    case Point::finalScale:
      return step.outputRows();
    case Point::finalNormalized:
    case Point::unembedIn:
      return step.outputRows() * spec.dModel;
    case Point::unembedOut:
      return step.outputRows() * spec.vocabSize;
    case Point::ln1Scale:
    case Point::ln2Scale:
      return rows;
    case Point::qOut:
    case Point::q:
    case Point::rotQ:
    case Point::z:
    case Point::oIn:
      return rows * spec.heads * spec.dHead;
    case Point::kOut:
    case Point::vOut:
    case Point::k:
    case Point::v:
    case Point::rotK:
      return rows * spec.kvHeads * spec.dHead;
    case Point::attnScores:
    case Point::pattern:
      return step.batch * spec.heads * step.pos * step.keys();
    case Point::gateOut:
    case Point::upOut:
    case Point::mlpPre:
    case Point::mlpPreLinear:
    case Point::mlpPost:
    case Point::downIn:
      return rows * spec.dFf;
    default:
      return rows * spec.dModel;
  }
}

namespace {

/** Floats that grow and never shrink. */
class Buffer {
 public:
  float* reserve(size_t floats) {
    if (floats > capacity_) {
      floats_.reset();
      capacity_ = 0;
      floats_.reset(new float[floats]);
      capacity_ = floats;
    }
    return floats_.get();
  }
  float* floats() const { return floats_.get(); }
  size_t bytes() const { return capacity_ * sizeof(float); }

 private:
  std::unique_ptr<float[]> floats_;
  size_t capacity_ = 0;
};

bool aborted(const DecoderStep& step) {
  return (step.abort && __atomic_load_n(step.abort, __ATOMIC_RELAXED) != 0) ||
         (step.stop && step.stop->load(std::memory_order_relaxed));
}

}  // namespace

struct Decoder::Buffers {
  Buffer x, sum, normalized, q, k, v, rotQ, rotK, keptK, keptV, z, projected, gate, up, post, scores, pattern,
      workspace, scale;
  std::vector<int32_t> positions;
  std::vector<const void*> pages;
  std::vector<CachedPositions> past;

  size_t bytes() const {
    size_t total = 0;
    for (const Buffer* buffer : {&x, &sum, &normalized, &q, &k, &v, &rotQ, &rotK, &keptK, &keptV, &z, &projected, &gate,
                                 &up, &post, &scores, &pattern, &workspace, &scale}) {
      total += buffer->bytes();
    }
    return total;
  }
};

namespace {

/** One step under way: the primitives with this step's sizes. */
template <typename Buffers>
class Pass {
 public:
  Pass(const DecoderSpec& spec, const DecoderStep& step, Buffers& buffers)
      : spec_(spec), step_(step), to_(buffers), run_(kernels()), rows_(step.batch * step.pos) {
    sizes_ = {step.batch, step.pos, spec.heads, spec.kvHeads, spec.dHead, spec.layers.size()};
    to_.positions.clear();
    to_.pages.clear();
    to_.past.clear();
    for (const DecoderSequence& sequence : step.sequences) {
      for (size_t t = 0; t < step.pos; t++) to_.positions.push_back(static_cast<int32_t>(sequence.length + t));
      to_.pages.insert(to_.pages.end(), sequence.pages.data.begin(), sequence.pages.data.end());
    }
    size_t first = 0;
    for (const DecoderSequence& sequence : step.sequences) {
      to_.past.push_back({sequence.pages.type, to_.pages.data() + first, sequence.length, 0});
      first += sequence.pages.data.size();
    }
  }

  bool run() {
    float* x = to_.x.reserve(rows_ * spec_.dModel);
    run_.embedding(step_.ids.data(), rows_, spec_.embedding, x);
    copyOut(Point::embed, 0, x);
    for (size_t layer = 0; layer < spec_.layers.size(); layer++) {
      if (aborted(step_)) return false;
      runLayer(layer, x);
    }
    if (aborted(step_)) return false;
    unembed(x);
    return true;
  }

 private:
  /** x is replaced by the layer's output. */
  void runLayer(size_t layer, float* x) {
    const DecoderLayer& weights = spec_.layers[layer];
    copyOut(Point::residPre, layer, x);
    float* sum = to_.sum.reserve(rows_ * spec_.dModel);
    const float* attnOut = attend(layer, weights, x);
    copyOut(Point::attnOut, layer, attnOut);
    run_.add(x, attnOut, rows_ * spec_.dModel, sum);
    copyOut(Point::residMid, layer, sum);
    const float* mlpOut = feedForward(layer, weights, sum);
    copyOut(Point::mlpOut, layer, mlpOut);
    run_.add(sum, mlpOut, rows_ * spec_.dModel, x);
    copyOut(Point::residPost, layer, x);
  }

  const float* attend(size_t layer, const DecoderLayer& weights, const float* x) {
    const float* in = normalize(x, rows_, weights.inputNorm, Point::ln1Scale, Point::ln1Normalized, layer);
    const size_t qWidth = spec_.heads * spec_.dHead;
    const size_t kvWidth = spec_.kvHeads * spec_.dHead;
    to_.q.reserve(rows_ * qWidth);
    to_.k.reserve(rows_ * kvWidth);
    to_.v.reserve(rows_ * kvWidth);
    multiply<3>({&weights.q, &weights.k, &weights.v}, in, rows_, {to_.q.floats(), to_.k.floats(), to_.v.floats()});
    const float* q = projected(to_.q, in, Point::qIn, Point::qOut, Point::q, layer);
    const float* k = projected(to_.k, in, Point::kIn, Point::kOut, Point::k, layer);
    const float* v = projected(to_.v, in, Point::vIn, Point::vOut, Point::v, layer);
    const float* rotQ = rotate(q, spec_.heads, to_.rotQ);
    copyOut(Point::rotQ, layer, rotQ);
    const float* rotK = rotate(k, spec_.kvHeads, to_.rotK);
    copyOut(Point::rotK, layer, rotK);

    for (CachedPositions& past : to_.past) past.layer = layer;
    const float* keys = asKept(rotK, to_.keptK);
    const float* values = asKept(v, to_.keptV);
    capturePattern(layer, rotQ, keys);
    float* z = to_.z.reserve(rows_ * qWidth);
    float* workspace = to_.workspace.reserve(attentionWorkspace(sizes_, step_.keys()));
    run_.attention(rotQ, keys, values, sizes_, to_.past.data(), step_.keys(), spec_.attentionScale, workspace, z);
    copyOut(Point::z, layer, z);
    keep(layer, rotK, v);
    return linear(weights.o, z, rows_, spec_.dModel, to_.projected, Point::oIn, Point::oOut, layer);
  }

  const float* feedForward(size_t layer, const DecoderLayer& weights, const float* x) {
    const float* in = normalize(x, rows_, weights.postAttentionNorm, Point::ln2Scale, Point::ln2Normalized, layer);
    to_.gate.reserve(rows_ * spec_.dFf);
    to_.up.reserve(rows_ * spec_.dFf);
    multiply<2>({&weights.gate, &weights.up}, in, rows_, {to_.gate.floats(), to_.up.floats()});
    const float* gate = projected(to_.gate, in, Point::gateIn, Point::gateOut, Point::mlpPre, layer);
    const float* up = projected(to_.up, in, Point::upIn, Point::upOut, Point::mlpPreLinear, layer);
    float* post = to_.post.reserve(rows_ * spec_.dFf);
    run_.swiglu(gate, up, rows_ * spec_.dFf, post);
    copyOut(Point::mlpPost, layer, post);
    return linear(weights.down, post, rows_, spec_.dModel, to_.projected, Point::downIn, Point::downOut, layer);
  }

  void unembed(float* x) {
    const size_t rows = step_.outputRows();
    if (!step_.allLogits) {
      // row b takes the place of the last row of sequence b, which lies no earlier
      for (size_t b = 0; b < step_.batch; b++) {
        std::memmove(x + b * spec_.dModel, x + (b * step_.pos + step_.pos - 1) * spec_.dModel,
                     spec_.dModel * sizeof(float));
      }
    }
    const float* in = normalize(x, rows, spec_.finalNorm, Point::finalScale, Point::finalNormalized, 0);
    copyOut(Point::unembedIn, 0, in);
    multiply<1>({&spec_.lmHead}, in, rows, {step_.logits});
    copyOut(Point::unembedOut, 0, step_.logits);
  }

  const float* normalize(const float* x, size_t rows, const float* gain, Point scalePoint, Point normalizedPoint,
                         size_t layer) {
    const size_t columns = spec_.dModel;
    float* y = to_.normalized.reserve(rows_ * columns);
    if (wants(scalePoint, layer) || wants(normalizedPoint, layer)) {
      float* scale = to_.scale.reserve(rows_);
      run_.rmsNormScale(x, rows, columns, spec_.rmsNormEps, scale);
      copyOut(scalePoint, layer, scale);
      run_.divideRows(x, rows, columns, scale, y);
      copyOut(normalizedPoint, layer, y);
    }
    run_.rmsNorm(x, rows, columns, gain, spec_.rmsNormEps, y);
    return y;
  }

  const float* linear(const Linear& weights, const float* x, size_t rows, size_t width, Buffer& buffer, Point in,
                      Point out, size_t layer) {
    copyOut(in, layer, x);
    float* y = buffer.reserve(rows * width);
    multiply<1>({&weights}, x, rows, {y});
    copyOut(out, layer, y);
    return y;
  }

  /** Copies out what one of several linears of the same input took and gave. */
  const float* projected(const Buffer& buffer, const float* x, Point in, Point out, Point named, size_t layer) {
    copyOut(in, layer, x);
    copyOut(out, layer, buffer.floats());
    copyOut(named, layer, buffer.floats());
    return buffer.floats();
  }

  /** Linears of the same input as one loop, which prepares x once and keeps all threads busy to its end. */
  template <size_t count>
  void multiply(const std::array<const Linear*, count>& weights, const float* x, size_t rows,
                const std::array<float*, count>& y) {
    run_.matmul(x, rows, weights.data(), count, spec_.mode, y.data());
  }

  const float* rotate(const float* x, size_t heads, Buffer& buffer) {
    float* y = buffer.reserve(rows_ * heads * spec_.dHead);
    run_.rope(x, rows_, heads, spec_.dHead, to_.positions.data(), spec_.cos, spec_.sin, 1.0f, y);
    return y;
  }

  /** Scores and pattern are made only where they are asked for; `attention` gives the same bits without them. */
  void capturePattern(size_t layer, const float* q, const float* k) {
    if (!wants(Point::attnScores, layer) && !wants(Point::pattern, layer)) return;
    const size_t keys = step_.keys();
    const size_t rows = step_.batch * spec_.heads * step_.pos;
    float* scores = to_.scores.reserve(rows * keys);
    run_.attentionScores(q, k, sizes_, to_.past.data(), keys, spec_.attentionScale, scores);
    copyOut(Point::attnScores, layer, scores);
    if (!wants(Point::pattern, layer)) return;
    float* pattern = to_.pattern.reserve(rows * keys);
    run_.softmax(scores, rows, keys, pattern);
    copyOut(Point::pattern, layer, pattern);
  }

  /** Calls visit(sequence, row, from) for each row of d_head of keys or values, `from` floats into them. */
  template <typename Visit>
  void forKeyRows(const Visit& visit) const {
    for (size_t row = 0; row < rows_ * spec_.kvHeads; row++) {
      visit(step_.sequences[row / spec_.kvHeads / step_.pos], row, row * spec_.dHead);
    }
  }

  /** This step's keys or values as later steps will find them: what a pass reads does not depend on where it began. */
  const float* asKept(const float* x, Buffer& buffer) const {
    const auto& all = step_.sequences;
    const auto exact = [](const DecoderSequence& sequence) { return sequence.pages.type == CacheType::f32; };
    if (std::all_of(all.begin(), all.end(), exact)) return x;
    float* y = buffer.reserve(rows_ * spec_.kvHeads * spec_.dHead);
    forKeyRows([&](const DecoderSequence& sequence, size_t, size_t from) {
      roundToCache(sequence.pages.type, x + from, spec_.dHead, y + from);
    });
    return y;
  }

  /** Writes this step's keys and values into the pages. */
  void keep(size_t layer, const float* keys, const float* values) const {
    forKeyRows([&](const DecoderSequence& sequence, size_t row, size_t from) {
      const CacheType type = sequence.pages.type;
      const size_t position = sequence.length + row / spec_.kvHeads % step_.pos;
      auto* page = static_cast<uint8_t*>(sequence.pages.data[position / kPagePositions]);
      const auto write = [&](size_t kind, const float* x) {
        uint8_t* block = page + cacheBlockAt(type, sizes_, layer, kind, row % spec_.kvHeads);
        writeCacheRow(type, x + from, spec_.dHead, position % kPagePositions, block);
      };
      write(0, keys);
      write(1, values);
    });
  }

  bool wants(Point point, size_t layer) const {
    return std::any_of(step_.captures.begin(), step_.captures.end(),
                       [=](const Capture& capture) { return capture.point == point && capture.layer == layer; });
  }

  void copyOut(Point point, size_t layer, const float* values) const {
    for (const Capture& capture : step_.captures) {
      if (capture.point != point || capture.layer != layer) continue;
      std::memcpy(capture.to, values, pointFloats(point, spec_, step_) * sizeof(float));
    }
  }

  const DecoderSpec& spec_;
  const DecoderStep& step_;
  Buffers& to_;
  const Kernels& run_;
  const size_t rows_;
  AttentionSizes sizes_;
};

}  // namespace

Decoder::Decoder(DecoderSpec spec) : spec_(std::move(spec)) {}
Decoder::~Decoder() = default;

std::unique_ptr<Decoder::Buffers> Decoder::borrowBuffers() {
  std::lock_guard<std::mutex> guard(lock_);
  if (idle_.empty()) return std::make_unique<Buffers>();
  std::unique_ptr<Buffers> buffers = std::move(idle_.back());
  idle_.pop_back();
  return buffers;
}

bool Decoder::run(const DecoderStep& step) {
  std::unique_ptr<Buffers> buffers = borrowBuffers();
  const bool finished = Pass<Buffers>(spec_, step, *buffers).run();
  std::lock_guard<std::mutex> guard(lock_);
  idle_.push_back(std::move(buffers));
  return finished;
}

size_t Decoder::bufferBytes() {
  std::lock_guard<std::mutex> guard(lock_);
  size_t total = 0;
  for (const std::unique_ptr<Buffers>& buffers : idle_) total += buffers->bytes();
  return total;
}

}  // namespace nibblelens
