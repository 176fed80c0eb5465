// Runs a decoder-only transformer on the host in FP32: forward, scores against a reference,
// generation. profile_pass.h adds gradients.
//
// The reference is FP32 arithmetic without any rounding. A treated model differs from it in two
// ways: its weights (the caller hands in quantised ones) and its numerics (this file rounds
// activations, keys, values, queries and probabilities with the codec of formats/). A format kBf16
// in `Numerics` means "not treated" and rounds nothing.
//
// Letters: b sequences, s tokens of one sequence, h hidden, v vocabulary; rows = b * s, sequence by
// sequence. All matrices are row-major.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "formats/format.h"
#include "host/chip_products.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::host {

// What happens to the input of a linear before it meets the weights: first the Hadamard transform,
// then rounding, as of formats/activation.h.
struct InputNumerics {
  formats::ActivationFormat format = formats::ActivationFormat::kBf16;
  int64_t hadamard = 0;  // block; the weights must have been turned alike (compress/rotate.h)
  // Static formats: the scale, > 0. 0: not known yet, nothing is rounded: for whoever calibrates
  // (compress/static_scales.h); set_numerics refuses it.
  float static_scale = 0;
  bool operator==(const InputNumerics&) const = default;
};

// What is rounded inside one layer. linear[i]: the input of the site SiteKind(i), attn_qkv ..
// mlp_down. kv: keys after RoPE (and the Hadamard transform, if any) and values as cached
// (formats/kv_cache.h); kv.query: queries (one scale per token and head) and softmax probabilities
// (one scale per row).
struct LayerNumerics {
  std::array<InputNumerics, 4> linear;
  recipe::KvTreatment kv;
  bool operator==(const LayerNumerics&) const = default;
};

struct Numerics {
  std::vector<LayerNumerics> layers;  // empty: no layer is treated
  InputNumerics head;                 // never a Hadamard transform
  bool operator==(const Numerics&) const = default;
};

// The numerics that a recipe asks for; its weight formats are not looked at. Static scales stay 0.
[[nodiscard]] Numerics numerics_of(const recipe::Recipe& recipe);

// Errors: kInvalidArgument (another number of layers, a Hadamard block that does not divide what it
// turns, values per channel, a static format without a scale), naming the site.
[[nodiscard]] Status check_numerics(const model::ModelShape& shape, const Numerics& numerics);

// (b, s) token ids, every sequence of the same length.
struct TokenBatch {
  int64_t batch = 0;
  int64_t seq = 0;
  std::vector<int32_t> ids;

  [[nodiscard]] int64_t rows() const { return batch * seq; }
};

// Errors: kInvalidArgument if the batch is empty, a sequence longer than the model's positions, or
// a token outside its vocabulary.
[[nodiscard]] Status check_tokens(const model::ModelShape& shape, const TokenBatch& tokens);

struct KlResult {
  std::vector<double> kl_nats_per_position;  // KL(reference || treated), the full vocabulary
  int64_t top1_agree = 0;                    // positions where both have the same best token
};

struct GenerateParams {
  int64_t max_new_tokens = 0;  // >= 1
  double temperature = 1.0;    // 0: the best token; else samples from softmax(logits / temperature)
  uint64_t seed = 0;           // sequence i draws from its own stream, whatever the batch
  int32_t stop_token = -1;     // ends a sequence after it was produced; -1: none does
};

// A model is a set of shared, constant weights and numerics: copying one is cheap, and a treated
// model is a copy of the reference with some of its weights replaced.
class HostModel {
 public:
  // Errors: kInvalidArgument if a matrix does not have the size that the shape asks for.
  [[nodiscard]] static Result<HostModel> create(std::shared_ptr<const model::Weights> weights);

  [[nodiscard]] const model::ModelShape& shape() const { return shape_; }
  [[nodiscard]] const Numerics& numerics() const { return numerics_; }

  // Replacements for treated models. The head's replacement serves the embedding too when tied.
  // Errors: kInvalidArgument if sizes differ from the shape's.
  [[nodiscard]] Status replace_layer(int64_t layer,
                                     std::shared_ptr<const model::LayerWeights> with);
  [[nodiscard]] Status replace_head(std::shared_ptr<const model::Matrix> with);
  // Errors: as check_numerics.
  [[nodiscard]] Status set_numerics(Numerics numerics);
  // From now on the linears of the layers whose inputs `recipe` leaves at bf16 sum as a chip's
  // matrix unit does (chip_products.h) in prefill and scoring; generation and gradients stay FP32.
  // `recipe` is the one that made the weights; replacing weights later ends it for them. Errors:
  // those of ChipProducts::create, another number of layers.
  [[nodiscard]] Status sum_as_chip(const AlignedSums& sums, const recipe::Recipe& recipe);

  // Final hidden states after the last norm, (rows, h). Errors, here and below: as
  // check_tokens, and kInvalidArgument for sizes that do not fit.
  [[nodiscard]] Result<model::Matrix> hidden_states(const TokenBatch& tokens) const;
  // What enters each layer, num_layers matrices (rows, h): num_layers * rows * h floats in all.
  [[nodiscard]] Result<std::vector<model::Matrix>> layer_inputs(const TokenBatch& tokens) const;
  // Continues from `input` (b * s, h), what enters `layer`, with `numerics` in that layer alone and
  // the model's own in the later ones. Gives the final hidden states after the last norm.
  [[nodiscard]] Result<model::Matrix> forward_from(int64_t layer, const model::Matrix& input,
                                                   int64_t batch,
                                                   const LayerNumerics& numerics) const;

  // Logits of final hidden states (n, h), as (n, v): 4 n v bytes.
  [[nodiscard]] Result<model::Matrix> logits(const model::Matrix& hidden) const;
  // Negative log-likelihood in nats of token t+1 after tokens 0..t, (b, s - 1) values; never holds
  // more than 128 rows of logits.
  [[nodiscard]] Result<std::vector<double>> nll(const TokenBatch& tokens) const;

  // New tokens of every prompt (each at least one token long), without the prompt. All sequences
  // run in one batch with a KV cache of 8 * layers * b * (longest prompt + new) * kv_size bytes.
  [[nodiscard]] Result<std::vector<std::vector<int32_t>>> generate(
      const std::vector<std::vector<int32_t>>& prompts, const GenerateParams& params) const;

  // The parts, for profile_pass and for the other files of this folder.
  [[nodiscard]] const model::LayerWeights& layer(int64_t index) const {
    return *layers_[static_cast<size_t>(index)];
  }
  [[nodiscard]] LayerNumerics layer_numerics(int64_t index) const;
  [[nodiscard]] const ChipProducts* products() const { return products_.get(); }
  [[nodiscard]] const model::Matrix& head() const { return *head_; }
  [[nodiscard]] const model::Matrix& embedding() const { return *embedding_; }
  [[nodiscard]] const std::vector<float>& final_norm() const { return *final_norm_; }

 private:
  HostModel() = default;

  model::ModelShape shape_;
  std::shared_ptr<const model::Matrix> embedding_;
  std::shared_ptr<const model::Matrix> head_;
  std::shared_ptr<const std::vector<float>> final_norm_;
  std::vector<std::shared_ptr<const model::LayerWeights>> layers_;
  Numerics numerics_;
  std::shared_ptr<const ChipProducts> products_;
};

// KL of two models' final hidden states (n, h) for the same n positions, 64 rows at a time, sums
// over the vocabulary in double. Errors: kInvalidArgument if sizes or vocabularies differ.
[[nodiscard]] Result<KlResult> kl_divergence(const HostModel& reference,
                                             const model::Matrix& reference_hidden,
                                             const HostModel& treated,
                                             const model::Matrix& treated_hidden);
// The same where the reference's logits (n, v) were kept: half the work for repeated measurements.
[[nodiscard]] Result<KlResult> kl_divergence(const model::Matrix& reference_logits,
                                             const HostModel& treated,
                                             const model::Matrix& treated_hidden);

// Tells libtorch and OpenBLAS to use base's num_threads(). create() calls it; only the first call
// in a process has an effect.
void configure_math_threads();

}  // namespace dovetail::host
