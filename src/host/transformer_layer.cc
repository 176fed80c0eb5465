#include "host/transformer_layer.h"

#include <algorithm>
#include <cstring>

#include "base/result.h"
#include "formats/activation.h"
#include "formats/kv_cache.h"
#include "formats/quantize.h"
#include "host/hadamard.h"
#include "host/matmul.h"

namespace dovetail::host {
namespace {

Buffer copy_of(const Buffer& from, int64_t count) {
  Buffer copy = make_buffer(count);
  std::memcpy(copy.get(), from.get(), static_cast<size_t>(count) * sizeof(float));
  return copy;
}
Buffer copy_of(const float* from, int64_t count) {
  Buffer copy = make_buffer(count);
  std::memcpy(copy.get(), from, static_cast<size_t>(count) * sizeof(float));
  return copy;
}

}  // namespace

LayerScratch::LayerScratch(const model::ModelShape& shape, int64_t rows)
    : normed(make_buffer(rows * shape.hidden_size)),
      q(make_buffer(rows * shape.q_size())),
      k(make_buffer(rows * shape.kv_size())),
      v(make_buffer(rows * shape.kv_size())),
      attended(make_buffer(rows * shape.q_size())),
      gate(make_buffer(rows * shape.intermediate_size)),
      up(make_buffer(rows * shape.intermediate_size)) {}

void apply_linear(const model::Matrix& w, int64_t rows, const float* x, float* y, bool accumulate) {
  matmul({x, rows, w.cols}, {w.values.data(), w.rows, w.cols, true}, y, accumulate);
}

void treat_input(const InputNumerics& input, int64_t rows, int64_t n, float* x) {
  hadamard_rows(rows, n, input.hadamard, x);
  const bool waits_for_scale = formats::is_static(input.format) && input.static_scale == 0;
  if (input.format == formats::ActivationFormat::kBf16 || waits_for_scale) return;
  for_row_pieces(rows, 4 * n, [&](int64_t begin, int64_t end) {
    formats::quantize_activations(input.format, end - begin, n, x + begin * n, input.static_scale);
  });
}

void round_activations(formats::ActivationFormat format, int64_t rows, int64_t n, float* x) {
  treat_input({.format = format}, rows, n, x);
}

void treat_queries(const recipe::KvTreatment& kv, int64_t vectors, int64_t head_dim, float* q) {
  treat_input({.format = kv.query, .hadamard = kv.hadamard}, vectors, head_dim, q);
}

namespace {

void round_vectors(formats::KvFormat format, int64_t vectors, int64_t head_dim, float* x) {
  if (format == formats::KvFormat::kBf16 || formats::is_per_channel(format)) return;
  for_row_pieces(vectors, 4 * head_dim, [&](int64_t begin, int64_t end) {
    formats::quantize_kv(format, end - begin, head_dim, x + begin * head_dim);
  });
}

}  // namespace

void treat_cached(const recipe::KvTreatment& kv, int64_t vectors, int64_t head_dim, float* k,
                  float* v) {
  hadamard_rows(vectors, head_dim, kv.hadamard, k);
  round_vectors(kv.keys, vectors, head_dim, k);
  round_vectors(kv.values, vectors, head_dim, v);
}

void round_key_groups(formats::KvFormat format, int64_t batch, int64_t seq, int64_t channels,
                      float* k) {
  const int64_t tokens = formats::kv_facts(format).channel_tokens;
  DOVETAIL_CHECK(tokens > 0);
  const int64_t groups = seq / tokens;
  for_row_pieces(batch * groups, 4 * channels * tokens, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i / groups * seq + i % groups * tokens;
      formats::quantize_key_group(format, channels, channels, 1, k + first * channels);
    }
  });
}

namespace {

void apply(const LayerRun& run, const model::Matrix& w, const float* x, float* y,
           bool accumulate = false) {
  const CodedMatrix* coded = run.products == nullptr ? nullptr : run.products->find(w);
  if (coded == nullptr) return apply_linear(w, run.rows(), x, y, accumulate);
  aligned_products(run.products->sums(), *coded, run.rows(), x, y, accumulate);
}

}  // namespace

void attention_input(const LayerRun& run, const float* hidden, float* normed) {
  const model::ModelShape& shape = run.shape;
  rms_norm(run.rows(), shape.hidden_size, hidden, run.weights.attn_norm.data(), shape.rms_norm_eps,
           normed);
  treat_input(run.numerics.linear[0], run.rows(), shape.hidden_size, normed);
}

void add_qkv_biases(const model::ModelShape& shape, const model::LayerWeights& weights,
                    int64_t rows, float* q, float* k, float* v) {
  if (!shape.qkv_bias) return;
  add_bias(rows, shape.q_size(), weights.q_bias.data(), q);
  add_bias(rows, shape.kv_size(), weights.k_bias.data(), k);
  add_bias(rows, shape.kv_size(), weights.v_bias.data(), v);
}

void norm_heads(const model::ModelShape& shape, const model::LayerWeights& weights, int64_t rows,
                float* q, float* k) {
  if (!shape.qk_norm) return;
  rms_norm(rows * shape.num_heads, shape.head_dim, q, weights.q_norm.data(), shape.rms_norm_eps, q);
  rms_norm(rows * shape.num_kv_heads, shape.head_dim, k, weights.k_norm.data(), shape.rms_norm_eps,
           k);
}

void norm_heads_backward(const LayerRun& run, const SavedLayer& saved, float* dq, float* dk) {
  const model::ModelShape& shape = run.shape;
  if (!shape.qk_norm) return;
  const auto back = [&](int64_t heads, const Buffer& raw, const std::vector<float>& gain,
                        float* d) {
    const int64_t vectors = run.rows() * heads;
    const Buffer after = copy_of(d, vectors * shape.head_dim);
    std::fill_n(d, vectors * shape.head_dim, 0.0F);
    rms_norm_backward(vectors, shape.head_dim, raw.get(), gain.data(), shape.rms_norm_eps,
                      after.get(), d);
  };
  back(shape.num_heads, saved.raw_q, run.weights.q_norm, dq);
  back(shape.num_kv_heads, saved.raw_k, run.weights.k_norm, dk);
}

void attend(const LayerRun& run, const float* normed, LayerScratch& w, SavedLayer* saved) {
  const model::ModelShape& shape = run.shape;
  const int64_t rows = run.rows();
  apply(run, run.weights.q, normed, w.q.get());
  apply(run, run.weights.k, normed, w.k.get());
  apply(run, run.weights.v, normed, w.v.get());
  add_qkv_biases(shape, run.weights, rows, w.q.get(), w.k.get(), w.v.get());
  if (saved != nullptr && shape.qk_norm) {
    saved->raw_q = copy_of(w.q, rows * shape.q_size());
    saved->raw_k = copy_of(w.k, rows * shape.kv_size());
  }
  norm_heads(shape, run.weights, rows, w.q.get(), w.k.get());
  run.rope.apply(rows, run.seq, 0, shape.num_heads, 1, w.q.get());
  run.rope.apply(rows, run.seq, 0, shape.num_kv_heads, 1, w.k.get());
  const recipe::KvTreatment& kv = run.numerics.kv;
  treat_queries(kv, rows * shape.num_heads, shape.head_dim, w.q.get());
  treat_cached(kv, rows * shape.num_kv_heads, shape.head_dim, w.k.get(), w.v.get());
  Buffer exact;
  if (formats::is_per_channel(kv.keys)) {
    exact = copy_of(w.k, rows * shape.kv_size());
    round_key_groups(kv.keys, run.batch, run.seq, shape.kv_size(), w.k.get());
  }
  causal_attention(run.attention(), {kv.query, kv.keys, exact.get()}, w.q.get(), w.k.get(),
                   w.v.get(), w.attended.get());
  treat_input(run.numerics.linear[1], rows, shape.q_size(), w.attended.get());
  if (saved == nullptr) return;
  saved->q = copy_of(w.q, rows * shape.q_size());
  saved->k = copy_of(w.k, rows * shape.kv_size());
  saved->v = copy_of(w.v, rows * shape.kv_size());
  saved->attended = copy_of(w.attended, rows * shape.q_size());
}

void add_attention(const LayerRun& run, const float* attended, float* hidden) {
  apply(run, run.weights.o, attended, hidden, true);
}

void mlp_input(const LayerRun& run, const float* hidden, float* normed) {
  const model::ModelShape& shape = run.shape;
  rms_norm(run.rows(), shape.hidden_size, hidden, run.weights.mlp_norm.data(), shape.rms_norm_eps,
           normed);
  treat_input(run.numerics.linear[2], run.rows(), shape.hidden_size, normed);
}

void project_mlp(const LayerRun& run, const float* normed, LayerScratch& w) {
  apply(run, run.weights.gate, normed, w.gate.get());
  apply(run, run.weights.up, normed, w.up.get());
}

void activate_mlp(const LayerRun& run, LayerScratch& w) {
  const int64_t intermediate = run.shape.intermediate_size;
  silu_mul(run.rows() * intermediate, w.gate.get(), w.up.get());
  treat_input(run.numerics.linear[3], run.rows(), intermediate, w.gate.get());
}

void add_mlp(const LayerRun& run, const float* activated, float* hidden) {
  apply(run, run.weights.down, activated, hidden, true);
}

void run_layer(const LayerRun& run, float* hidden, LayerScratch& w, SavedLayer* saved) {
  const model::ModelShape& shape = run.shape;
  const int64_t rows = run.rows();
  if (saved != nullptr) saved->input = copy_of(hidden, rows * shape.hidden_size);
  attention_input(run, hidden, w.normed.get());
  attend(run, w.normed.get(), w, saved);
  add_attention(run, w.attended.get(), hidden);
  if (saved != nullptr) saved->mid = copy_of(hidden, rows * shape.hidden_size);
  mlp_input(run, hidden, w.normed.get());
  project_mlp(run, w.normed.get(), w);
  if (saved != nullptr) {
    saved->gate = copy_of(w.gate, rows * shape.intermediate_size);
    saved->up = copy_of(w.up, rows * shape.intermediate_size);
  }
  activate_mlp(run, w);
  add_mlp(run, w.gate.get(), hidden);
}

}  // namespace dovetail::host
