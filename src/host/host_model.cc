#include "host/host_model.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "formats/activation.h"
#include "host/layer_ops.h"
#include "host/transformer_layer.h"

namespace dovetail::host {
namespace {

// Rows that run through the layers together: products run well, scratch stays near 100 MB.
constexpr int64_t kRowsAtOnce = 2048;

Status check_matrix(const model::Matrix& matrix, const char* name, int64_t rows, int64_t cols) {
  if (matrix.rows == rows && matrix.cols == cols &&
      static_cast<int64_t>(matrix.values.size()) == rows * cols) {
    return {};
  }
  return invalid_argument(fmt::format("{} is ({}, {}) with {} values, want ({}, {})", name,
                                      matrix.rows, matrix.cols, matrix.values.size(), rows, cols));
}

Status check_vector(const std::vector<float>& vector, const char* name, int64_t size) {
  if (static_cast<int64_t>(vector.size()) == size) return {};
  return invalid_argument(fmt::format("{} has {} values, want {}", name, vector.size(), size));
}

Status check_layer_weights(const model::ModelShape& s, const model::LayerWeights& w) {
  DOVETAIL_TRY_STATUS(check_matrix(w.q, "q", s.q_size(), s.hidden_size));
  DOVETAIL_TRY_STATUS(check_matrix(w.k, "k", s.kv_size(), s.hidden_size));
  DOVETAIL_TRY_STATUS(check_matrix(w.v, "v", s.kv_size(), s.hidden_size));
  DOVETAIL_TRY_STATUS(check_matrix(w.o, "o", s.hidden_size, s.q_size()));
  DOVETAIL_TRY_STATUS(check_matrix(w.gate, "gate", s.intermediate_size, s.hidden_size));
  DOVETAIL_TRY_STATUS(check_matrix(w.up, "up", s.intermediate_size, s.hidden_size));
  DOVETAIL_TRY_STATUS(check_matrix(w.down, "down", s.hidden_size, s.intermediate_size));
  DOVETAIL_TRY_STATUS(check_vector(w.attn_norm, "attn_norm", s.hidden_size));
  DOVETAIL_TRY_STATUS(check_vector(w.mlp_norm, "mlp_norm", s.hidden_size));
  if (s.qkv_bias) {
    DOVETAIL_TRY_STATUS(check_vector(w.q_bias, "q_bias", s.q_size()));
    DOVETAIL_TRY_STATUS(check_vector(w.k_bias, "k_bias", s.kv_size()));
    DOVETAIL_TRY_STATUS(check_vector(w.v_bias, "v_bias", s.kv_size()));
  }
  if (s.qk_norm) {
    DOVETAIL_TRY_STATUS(check_vector(w.q_norm, "q_norm", s.head_dim));
    DOVETAIL_TRY_STATUS(check_vector(w.k_norm, "k_norm", s.head_dim));
  }
  return {};
}

Status check_shape(const model::ModelShape& s) {
  const bool good = s.num_layers >= 1 && s.hidden_size >= 1 && s.intermediate_size >= 1 &&
                    s.num_heads >= 1 && s.num_kv_heads >= 1 && s.num_heads % s.num_kv_heads == 0 &&
                    s.head_dim >= 2 && s.head_dim % 2 == 0 && s.vocab_size >= 1 &&
                    s.max_positions >= 1 &&
                    (s.rope_divisors.empty() || std::ssize(s.rope_divisors) == s.head_dim / 2);
  if (good) return {};
  return invalid_argument(fmt::format(
      "model {}: {} layers, hidden {}, intermediate {}, {} heads, {} kv heads, head_dim {}, vocab "
      "{}, positions {}; want each at least 1, kv heads dividing heads, head_dim even and a rotary "
      "divisor for each "
      "frequency or none",
      s.name, s.num_layers, s.hidden_size, s.intermediate_size, s.num_heads, s.num_kv_heads,
      s.head_dim, s.vocab_size, s.max_positions));
}

model::Matrix make_matrix(int64_t rows, int64_t cols) {
  return {rows, cols, std::vector<float>(static_cast<size_t>(rows * cols))};
}

// Runs layers [first, num_layers) on hidden (batch * seq, h) in place, some sequences at a time.
// visit(layer, first_row, rows, x) sees what enters each layer.
template <typename NumericsAt, typename Visit>
void run_layers(const HostModel& model, int64_t first, int64_t batch, int64_t seq, float* hidden,
                const NumericsAt& numerics_at, const Visit& visit) {
  const model::ModelShape& shape = model.shape();
  const RopeTable rope(seq, shape);
  const int64_t together = std::clamp<int64_t>(kRowsAtOnce / seq, 1, batch);
  LayerScratch scratch(shape, together * seq);
  for (int64_t begin = 0; begin < batch; begin += together) {
    const int64_t sequences = std::min(together, batch - begin);
    float* x = hidden + begin * seq * shape.hidden_size;
    for (int64_t layer = first; layer < shape.num_layers; ++layer) {
      visit(layer, begin * seq, sequences * seq, x);
      const LayerNumerics numerics = numerics_at(layer);
      run_layer({shape, model.layer(layer), numerics, rope, sequences, seq, model.products()}, x,
                scratch);
    }
  }
}

constexpr auto kNoVisit = [](int64_t, int64_t, int64_t, const float*) {};

void apply_final_norm(const HostModel& model, model::Matrix& hidden) {
  rms_norm(hidden.rows, hidden.cols, hidden.values.data(), model.final_norm().data(),
           model.shape().rms_norm_eps, hidden.values.data());
}

model::Matrix embed(const HostModel& model, const TokenBatch& tokens) {
  const int64_t h = model.shape().hidden_size;
  model::Matrix hidden = make_matrix(tokens.rows(), h);
  for (int64_t row = 0; row < tokens.rows(); ++row) {
    const int64_t id = tokens.ids[static_cast<size_t>(row)];
    std::memcpy(hidden.values.data() + row * h, model.embedding().values.data() + id * h,
                static_cast<size_t>(h) * sizeof(float));
  }
  return hidden;
}

}  // namespace

Status check_tokens(const model::ModelShape& shape, const TokenBatch& tokens) {
  if (tokens.batch < 1 || tokens.seq < 1 || tokens.seq > shape.max_positions ||
      static_cast<int64_t>(tokens.ids.size()) != tokens.rows()) {
    return invalid_argument(fmt::format(
        "tokens are ({}, {}) with {} ids, want at least (1, 1) and at most {} positions",
        tokens.batch, tokens.seq, tokens.ids.size(), shape.max_positions));
  }
  for (const int32_t id : tokens.ids) {
    if (id < 0 || id >= shape.vocab_size) {
      return invalid_argument(fmt::format("token id {}, want 0..{}", id, shape.vocab_size - 1));
    }
  }
  return {};
}

Numerics numerics_of(const recipe::Recipe& recipe) {
  Numerics numerics;
  for (const recipe::LayerRecipe& layer : recipe.layers) {
    LayerNumerics one;
    for (size_t site = 0; site < one.linear.size(); ++site) {
      const recipe::LinearTreatment& treatment = layer.linear[site];
      one.linear[site] = {.format = treatment.activation, .hadamard = treatment.hadamard};
    }
    one.kv = layer.kv;
    numerics.layers.push_back(one);
  }
  numerics.head = {.format = recipe.head.activation};
  return numerics;
}

Status check_numerics(const model::ModelShape& shape, const Numerics& numerics) {
  const auto size = static_cast<int64_t>(numerics.layers.size());
  if (size != 0 && size != shape.num_layers) {
    return invalid_argument(
        fmt::format("numerics have {} layers, want 0 or {}", size, shape.num_layers));
  }
  // The recipe with the same transforms and formats: its rules are these.
  recipe::Recipe recipe;
  recipe.head.hadamard = numerics.head.hadamard;
  for (const LayerNumerics& layer : numerics.layers) {
    recipe::LayerRecipe& at = recipe.layers.emplace_back();
    at.kv = layer.kv;
    for (size_t i = 0; i < at.linear.size(); ++i) at.linear[i].hadamard = layer.linear[i].hadamard;
  }
  DOVETAIL_TRY_STATUS(recipe::check_recipe(shape, recipe));
  const auto check_scale = [](const InputNumerics& input, const recipe::Site& site) -> Status {
    if (!formats::is_static(input.format) || input.static_scale > 0) return {};
    return invalid_argument(fmt::format("{}: {} without a scale, want one from calibration text",
                                        recipe::site_name(site),
                                        formats::format_name(input.format)));
  };
  for (size_t i = 0; i < numerics.layers.size(); ++i)
    for (size_t j = 0; j < numerics.layers[i].linear.size(); ++j)
      DOVETAIL_TRY_STATUS(check_scale(
          numerics.layers[i].linear[j],
          {.kind = static_cast<recipe::SiteKind>(j), .layer = static_cast<int64_t>(i)}));
  return check_scale(numerics.head, {.kind = recipe::SiteKind::kHead, .layer = -1});
}

Result<HostModel> HostModel::create(std::shared_ptr<const model::Weights> weights) {
  if (weights == nullptr) return invalid_argument("weights are missing");
  const model::ModelShape& shape = weights->shape;
  DOVETAIL_TRY_STATUS(check_shape(shape));
  DOVETAIL_TRY_STATUS(
      check_matrix(weights->embedding, "embedding", shape.vocab_size, shape.hidden_size));
  DOVETAIL_TRY_STATUS(
      check_matrix(weights->head_matrix(), "head", shape.vocab_size, shape.hidden_size));
  DOVETAIL_TRY_STATUS(check_vector(weights->final_norm, "final_norm", shape.hidden_size));
  if (static_cast<int64_t>(weights->layers.size()) != shape.num_layers) {
    return invalid_argument(
        fmt::format("weights have {} layers, want {}", weights->layers.size(), shape.num_layers));
  }
  configure_math_threads();
  HostModel model;
  model.shape_ = shape;
  model.embedding_ = {weights, &weights->embedding};
  model.head_ = {weights, &weights->head_matrix()};
  model.final_norm_ = {weights, &weights->final_norm};
  for (int64_t i = 0; i < shape.num_layers; ++i) {
    const model::LayerWeights& layer = weights->layers[static_cast<size_t>(i)];
    const Status status = check_layer_weights(shape, layer);
    if (!status.has_value()) return with_context(status.error(), fmt::format("layer {}", i));
    model.layers_.emplace_back(weights, &layer);
  }
  return model;
}

Status HostModel::replace_layer(int64_t index, std::shared_ptr<const model::LayerWeights> with) {
  if (index < 0 || index >= shape_.num_layers || with == nullptr) {
    return invalid_argument(fmt::format("layer {}, want 0..{}", index, shape_.num_layers - 1));
  }
  DOVETAIL_TRY_STATUS(check_layer_weights(shape_, *with));
  layers_[static_cast<size_t>(index)] = std::move(with);
  return {};
}

Status HostModel::replace_head(std::shared_ptr<const model::Matrix> with) {
  if (with == nullptr) return invalid_argument("head is missing");
  DOVETAIL_TRY_STATUS(check_matrix(*with, "head", shape_.vocab_size, shape_.hidden_size));
  head_ = std::move(with);
  if (shape_.tied_embedding) embedding_ = head_;
  return {};
}

Status HostModel::set_numerics(Numerics numerics) {
  DOVETAIL_TRY_STATUS(check_numerics(shape_, numerics));
  numerics_ = std::move(numerics);
  return {};
}

LayerNumerics HostModel::layer_numerics(int64_t index) const {
  return numerics_.layers.empty() ? LayerNumerics{} : numerics_.layers[static_cast<size_t>(index)];
}

Result<model::Matrix> HostModel::hidden_states(const TokenBatch& tokens) const {
  DOVETAIL_TRY_STATUS(check_tokens(shape_, tokens));
  model::Matrix hidden = embed(*this, tokens);
  run_layers(
      *this, 0, tokens.batch, tokens.seq, hidden.values.data(),
      [&](int64_t layer) { return layer_numerics(layer); }, kNoVisit);
  apply_final_norm(*this, hidden);
  return hidden;
}

Status HostModel::sum_as_chip(const AlignedSums& sums, const recipe::Recipe& recipe) {
  if (static_cast<int64_t>(recipe.layers.size()) != shape_.num_layers) {
    return invalid_argument(
        fmt::format("recipe has {} layers, want {}", recipe.layers.size(), shape_.num_layers));
  }
  std::vector<const model::LayerWeights*> layers;
  for (const auto& layer : layers_) layers.push_back(layer.get());
  DOVETAIL_TRY(ChipProducts products, ChipProducts::create(sums, recipe, layers));
  products_ = std::make_shared<const ChipProducts>(std::move(products));
  return {};
}

Result<std::vector<model::Matrix>> HostModel::layer_inputs(const TokenBatch& tokens) const {
  DOVETAIL_TRY_STATUS(check_tokens(shape_, tokens));
  model::Matrix hidden = embed(*this, tokens);
  std::vector<model::Matrix> inputs;
  for (int64_t layer = 0; layer < shape_.num_layers; ++layer) {
    inputs.push_back(make_matrix(hidden.rows, hidden.cols));
  }
  run_layers(
      *this, 0, tokens.batch, tokens.seq, hidden.values.data(),
      [&](int64_t layer) { return layer_numerics(layer); },
      [&](int64_t layer, int64_t first_row, int64_t rows, const float* x) {
        std::copy_n(x, rows * hidden.cols,
                    inputs[static_cast<size_t>(layer)].values.data() + first_row * hidden.cols);
      });
  return inputs;
}

Result<model::Matrix> HostModel::forward_from(int64_t layer, const model::Matrix& input,
                                              int64_t batch, const LayerNumerics& numerics) const {
  if (layer < 0 || layer >= shape_.num_layers) {
    return invalid_argument(fmt::format("layer {}, want 0..{}", layer, shape_.num_layers - 1));
  }
  if (batch < 1 || input.rows < batch || input.rows % batch != 0 ||
      input.rows / batch > shape_.max_positions) {
    return invalid_argument(
        fmt::format("input has {} rows, want a multiple of the {} sequences", input.rows, batch));
  }
  DOVETAIL_TRY_STATUS(check_matrix(input, "input", input.rows, shape_.hidden_size));
  Numerics alike;
  alike.layers.assign(static_cast<size_t>(shape_.num_layers), numerics);
  DOVETAIL_TRY_STATUS(check_numerics(shape_, alike));
  model::Matrix hidden = input;
  run_layers(
      *this, layer, batch, input.rows / batch, hidden.values.data(),
      [&](int64_t at) { return at == layer ? numerics : layer_numerics(at); }, kNoVisit);
  apply_final_norm(*this, hidden);
  return hidden;
}

}  // namespace dovetail::host
