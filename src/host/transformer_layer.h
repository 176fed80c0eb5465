// One transformer layer over whole sequences, in place on the residual stream.
#pragma once

#include <cstdint>

#include "host/attention.h"
#include "host/buffer.h"
#include "host/chip_products.h"
#include "host/host_model.h"
#include "host/layer_ops.h"
#include "model/model.h"

namespace dovetail::host {

// What a layer computes on its way, rows = b * s. Keys are after RoPE and, where the numerics ask
// for it, keys, values and queries after rounding; `attended` and `activated` likewise.
// Keys per channel: those of finished groups rounded.
struct LayerScratch {
  LayerScratch(const model::ModelShape& shape, int64_t rows);

  Buffer normed;    // (rows, h) the input of qkv, then of gate and up
  Buffer q;         // (rows, q_size)
  Buffer k, v;      // (rows, kv_size)
  Buffer attended;  // (rows, q_size) the input of o
  Buffer gate, up;  // (rows, intermediate); gate ends as silu(gate) * up, the input of down
};

// What the backward pass needs of one layer beside its weights; filled by run_layer when asked.
struct SavedLayer {
  Buffer input;         // (rows, h) the residual stream that enters
  Buffer mid;           // (rows, h) after attention
  Buffer q, k, v;       // q and k after RoPE
  Buffer raw_q, raw_k;  // as they enter the norms of their heads; null without such norms
  Buffer attended;
  Buffer gate, up;  // before silu
};

struct LayerRun {
  const model::ModelShape& shape;
  const model::LayerWeights& weights;
  const LayerNumerics& numerics;
  const RopeTable& rope;
  int64_t batch = 0;
  int64_t seq = 0;
  const ChipProducts* products = nullptr;  // which linears sum as a chip does; null: none

  [[nodiscard]] int64_t rows() const { return batch * seq; }
  [[nodiscard]] AttentionShape attention() const {
    return {batch, seq, shape.num_heads, shape.num_kv_heads, shape.head_dim};
  }
};

// The layer in steps, for those who look at or replace weights between them; each reads only the
// weights that it names. Inputs are rounded as the numerics ask.
void attention_input(const LayerRun& run, const float* hidden, float* normed);  // norm
// q, k, v and attention: scratch.q, k, v, attended, and the copies of them in `saved`.
void attend(const LayerRun& run, const float* normed, LayerScratch& scratch,
            SavedLayer* saved = nullptr);
void add_attention(const LayerRun& run, const float* attended, float* hidden);  // o
void mlp_input(const LayerRun& run, const float* hidden, float* normed);        // norm
// gate and up: scratch.gate, up, both before silu.
void project_mlp(const LayerRun& run, const float* normed, LayerScratch& scratch);
void activate_mlp(const LayerRun& run, LayerScratch& scratch);  // scratch.gate: the input of down
void add_mlp(const LayerRun& run, const float* activated, float* hidden);  // down

// All steps: hidden (rows, h) becomes the layer's output.
void run_layer(const LayerRun& run, float* hidden, LayerScratch& scratch,
               SavedLayer* saved = nullptr);

// What stands between the products of q, k and v and RoPE: biases, norms of query and key heads.
void add_qkv_biases(const model::ModelShape& shape, const model::LayerWeights& weights,
                    int64_t rows, float* q, float* k, float* v);
void norm_heads(const model::ModelShape& shape, const model::LayerWeights& weights, int64_t rows,
                float* q, float* k);
// The way back through norm_heads: dq and dk, at what left the norms, become the gradients at
// saved.raw_q and raw_k.
void norm_heads_backward(const LayerRun& run, const SavedLayer& saved, float* dq, float* dk);

// y (rows, w.rows) = x (rows, w.cols) w^T
void apply_linear(const model::Matrix& w, int64_t rows, const float* x, float* y,
                  bool accumulate = false);

// What `input` asks for at a linear's input, x (rows, n) in place: the Hadamard transform, then
// rounding. The step functions above do it at the end.
void treat_input(const InputNumerics& input, int64_t rows, int64_t n, float* x);
// Rounds x (rows, n), each row a token's; kBf16 rounds nothing. Not for static formats.
void round_activations(formats::ActivationFormat format, int64_t rows, int64_t n, float* x);
// Turns and rounds queries (rows * heads, head_dim) as `kv` asks.
void treat_queries(const recipe::KvTreatment& kv, int64_t vectors, int64_t head_dim, float* q);
// Turns keys (rows * kv heads, head_dim) and rounds them and values as they enter the cache: per
// token; keys of formats per channel stay as they are until round_key_groups.
void treat_cached(const recipe::KvTreatment& kv, int64_t vectors, int64_t head_dim, float* k,
                  float* v);
// Keys per channel: rounds every finished group of each sequence, k (batch * seq, channels).
void round_key_groups(formats::KvFormat format, int64_t batch, int64_t seq, int64_t channels,
                      float* k);

}  // namespace dovetail::host
