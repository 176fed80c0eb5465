#include "host/layer_backward.h"

#include <algorithm>
#include <cstring>

#include "host/attention.h"
#include "host/matmul.h"

namespace dovetail::host {
namespace {

model::Matrix zeros_like(const model::Matrix& matrix) {
  return {matrix.rows, matrix.cols, std::vector<float>(matrix.values.size())};
}

// What is asked for beside the gradient at the layer's input.
struct Wanted {
  model::LayerWeights* weights = nullptr;
  const UseMaskable* use = nullptr;

  // dW (n, k) = dy^T x
  void weight_gradient(model::Matrix model::LayerWeights::* of, int64_t rows, const float* dy,
                       const float* x) const {
    if (weights == nullptr) return;
    model::Matrix& gradient = weights->*of;
    matmul({dy, rows, gradient.rows, true}, {x, rows, gradient.cols}, gradient.values.data());
  }
  void maskable(recipe::SiteKind kind, int64_t n, const float* x, const float* dx) const {
    if (use != nullptr) (*use)(kind, n, x, dx);
  }
};

// dx (rows, k) = dy W, or += if `accumulate`.
void input_gradient(const model::Matrix& w, int64_t rows, const float* dy, float* dx,
                    bool accumulate) {
  matmul({dy, rows, w.rows}, {w.values.data(), w.rows, w.cols}, dx, accumulate);
}

// The gradient at the layer's output becomes the one after attention.
void backward_mlp(const LayerRun& run, const SavedLayer& saved, BackwardScratch& w, float* d_hidden,
                  const Wanted& wanted) {
  const int64_t rows = run.rows();
  const int64_t h = run.shape.hidden_size;
  const int64_t wide = run.shape.intermediate_size;
  std::memcpy(w.activated.get(), saved.gate.get(),
              static_cast<size_t>(rows * wide) * sizeof(float));
  silu_mul(rows * wide, w.activated.get(), saved.up.get());
  treat_input(run.numerics.linear[3], rows, wide, w.activated.get());
  wanted.weight_gradient(&model::LayerWeights::down, rows, d_hidden, w.activated.get());
  input_gradient(run.weights.down, rows, d_hidden, w.d_wide.get(), false);
  wanted.maskable(recipe::SiteKind::kMlpDown, wide, w.activated.get(), w.d_wide.get());
  silu_mul_backward(rows * wide, saved.gate.get(), saved.up.get(), w.d_wide.get(), w.d_gate.get(),
                    w.d_up.get());
  mlp_input(run, saved.mid.get(), w.normed.get());
  wanted.weight_gradient(&model::LayerWeights::gate, rows, w.d_gate.get(), w.normed.get());
  wanted.weight_gradient(&model::LayerWeights::up, rows, w.d_up.get(), w.normed.get());
  input_gradient(run.weights.gate, rows, w.d_gate.get(), w.d_wide.get(), false);
  input_gradient(run.weights.up, rows, w.d_up.get(), w.d_wide.get(), true);
  rms_norm_backward(rows, h, saved.mid.get(), run.weights.mlp_norm.data(), run.shape.rms_norm_eps,
                    w.d_wide.get(), d_hidden);
}

// The gradient after attention becomes, if asked for, the one at the layer's input.
void backward_attention(const LayerRun& run, const SavedLayer& saved, BackwardScratch& w,
                        float* d_hidden, const Wanted& wanted, bool to_input) {
  const int64_t rows = run.rows();
  const int64_t h = run.shape.hidden_size;
  wanted.weight_gradient(&model::LayerWeights::o, rows, d_hidden, saved.attended.get());
  input_gradient(run.weights.o, rows, d_hidden, w.d_wide.get(), false);
  wanted.maskable(recipe::SiteKind::kAttnO, run.shape.q_size(), saved.attended.get(),
                  w.d_wide.get());
  causal_attention_backward(run.attention(), saved.q.get(), saved.k.get(), saved.v.get(),
                            saved.attended.get(), w.d_wide.get(), w.dq.get(), w.dk.get(),
                            w.dv.get());
  run.rope.apply(rows, run.seq, 0, run.shape.num_heads, -1, w.dq.get());
  run.rope.apply(rows, run.seq, 0, run.shape.num_kv_heads, -1, w.dk.get());
  norm_heads_backward(run, saved, w.dq.get(), w.dk.get());
  attention_input(run, saved.input.get(), w.normed.get());
  wanted.weight_gradient(&model::LayerWeights::q, rows, w.dq.get(), w.normed.get());
  wanted.weight_gradient(&model::LayerWeights::k, rows, w.dk.get(), w.normed.get());
  wanted.weight_gradient(&model::LayerWeights::v, rows, w.dv.get(), w.normed.get());
  if (!to_input) return;
  input_gradient(run.weights.q, rows, w.dq.get(), w.d_wide.get(), false);
  input_gradient(run.weights.k, rows, w.dk.get(), w.d_wide.get(), true);
  input_gradient(run.weights.v, rows, w.dv.get(), w.d_wide.get(), true);
  rms_norm_backward(rows, h, saved.input.get(), run.weights.attn_norm.data(),
                    run.shape.rms_norm_eps, w.d_wide.get(), d_hidden);
}

}  // namespace

BackwardScratch::BackwardScratch(const model::ModelShape& shape, int64_t rows)
    : normed(make_buffer(rows * shape.hidden_size)),
      activated(make_buffer(rows * shape.intermediate_size)),
      d_wide(make_buffer(rows *
                         std::max({shape.hidden_size, shape.q_size(), shape.intermediate_size}))),
      d_gate(make_buffer(rows * shape.intermediate_size)),
      d_up(make_buffer(rows * shape.intermediate_size)),
      dq(make_buffer(rows * shape.q_size())),
      dk(make_buffer(rows * shape.kv_size())),
      dv(make_buffer(rows * shape.kv_size())) {}

model::LayerWeights make_gradient(const model::LayerWeights& w) {
  model::LayerWeights gradient;
  gradient.q = zeros_like(w.q);
  gradient.k = zeros_like(w.k);
  gradient.v = zeros_like(w.v);
  gradient.o = zeros_like(w.o);
  gradient.gate = zeros_like(w.gate);
  gradient.up = zeros_like(w.up);
  gradient.down = zeros_like(w.down);
  return gradient;
}

void layer_backward(const LayerRun& run, const SavedLayer& saved, BackwardScratch& scratch,
                    float* d_hidden, model::LayerWeights& gradient, bool to_input) {
  const Wanted wanted{.weights = &gradient};
  backward_mlp(run, saved, scratch, d_hidden, wanted);
  backward_attention(run, saved, scratch, d_hidden, wanted, to_input);
}

void layer_backward_inputs(const LayerRun& run, const SavedLayer& saved, BackwardScratch& scratch,
                           float* d_hidden, const UseMaskable& use) {
  const Wanted wanted{.use = &use};
  backward_mlp(run, saved, scratch, d_hidden, wanted);
  backward_attention(run, saved, scratch, d_hidden, wanted, true);
}

}  // namespace dovetail::host
