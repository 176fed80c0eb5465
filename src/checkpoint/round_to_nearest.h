// Tests only: a small model, and what a driver does: rounds each matrix to nearest and hands it to
// a writer, tensor by tensor.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "checkpoint/folder_writer.h"
#include "checkpoint/model_tensors.h"
#include "formats/codec.h"
#include "formats/quantize.h"
#include "model/model.h"

namespace dovetail::checkpoint {

inline model::ModelShape small_shape(bool tied = true, int64_t hidden = 64) {
  model::ModelShape s;
  s.name = "small";
  s.num_layers = 2;
  s.hidden_size = hidden;
  s.intermediate_size = 2 * hidden;
  s.num_heads = 4;
  s.num_kv_heads = 2;
  s.head_dim = hidden / 4;
  s.vocab_size = 260;
  s.max_positions = 512;
  s.rms_norm_eps = static_cast<double>(1e-5F);
  s.tied_embedding = tied;
  return s;
}

// The same with norms of query and key heads.
inline model::ModelShape small_qwen3_shape() {
  model::ModelShape s = small_shape();
  s.family = model::Family::kQwen3;
  s.qk_norm = true;
  s.head_dim = 32;
  return s;
}

// The values of a tensor of model_tensors.h inside `weights`.
inline std::vector<float>& values_of(model::Weights& weights, const std::string& name) {
  if (name == kEmbeddingName) return weights.embedding.values;
  if (name == kHeadName)
    return weights.shape.tied_embedding ? weights.embedding.values : weights.head.values;
  if (name == "model.norm.weight") return weights.final_norm;
  const std::string prefix = "model.layers.";
  const size_t dot = name.find('.', prefix.size());
  model::LayerWeights& layer =
      weights.layers[std::stoul(name.substr(prefix.size(), dot - prefix.size()))];
  const std::map<std::string, std::vector<float>*> inner = {
      {"input_layernorm.weight", &layer.attn_norm},
      {"post_attention_layernorm.weight", &layer.mlp_norm},
      {"self_attn.q_proj.weight", &layer.q.values},
      {"self_attn.k_proj.weight", &layer.k.values},
      {"self_attn.v_proj.weight", &layer.v.values},
      {"self_attn.o_proj.weight", &layer.o.values},
      {"self_attn.q_proj.bias", &layer.q_bias},
      {"self_attn.k_proj.bias", &layer.k_bias},
      {"self_attn.v_proj.bias", &layer.v_bias},
      {"self_attn.q_norm.weight", &layer.q_norm},
      {"self_attn.k_norm.weight", &layer.k_norm},
      {"mlp.gate_proj.weight", &layer.gate.values},
      {"mlp.up_proj.weight", &layer.up.values},
      {"mlp.down_proj.weight", &layer.down.values}};
  return *inner.at(name.substr(dot + 1));
}

inline model::Weights small_weights(const model::ModelShape& shape, uint64_t seed = 1) {
  Random random(seed);
  model::Weights weights;
  weights.shape = shape;
  const auto shaped = [](int64_t rows, int64_t cols) { return model::Matrix{rows, cols, {}}; };
  const int64_t h = shape.hidden_size;
  weights.embedding = shaped(shape.vocab_size, h);
  if (!shape.tied_embedding) weights.head = shaped(shape.vocab_size, h);
  for (int64_t i = 0; i < shape.num_layers; ++i) {
    weights.layers.push_back({.q = shaped(shape.q_size(), h),
                              .k = shaped(shape.kv_size(), h),
                              .v = shaped(shape.kv_size(), h),
                              .o = shaped(h, shape.q_size()),
                              .gate = shaped(shape.intermediate_size, h),
                              .up = shaped(shape.intermediate_size, h),
                              .down = shaped(h, shape.intermediate_size),
                              .q_bias = {},
                              .k_bias = {},
                              .v_bias = {},
                              .q_norm = {},
                              .k_norm = {},
                              .attn_norm = {},
                              .mlp_norm = {}});
  }
  const recipe::Recipe none{.layers = std::vector<recipe::LayerRecipe>(weights.layers.size()),
                            .head = {}};
  const std::vector<ModelTensor> tensors = model_tensors(shape, none).value();
  for (const ModelTensor& tensor : tensors) {
    for (int64_t i = 0; i < tensor.rows * tensor.cols; ++i) {
      double sum = -6;
      for (int draw = 0; draw < 12; ++draw) sum += random.uniform();
      const double spread = tensor.is_vector ? 0.1 : 2.0 / std::sqrt(double(tensor.cols));
      values_of(weights, tensor.name)
          .push_back(static_cast<float>((tensor.is_vector ? 1 : 0) + spread * sum));
    }
  }
  return weights;
}

// Every tensor of the model, rounded under `rounding` where the recipe has a format. Gives the
// weights that the checkpoint should decode to.
template <typename Writer>
Result<model::Weights> write_round_to_nearest(Writer& writer, const model::Weights& weights,
                                              const recipe::Recipe& recipe,
                                              const formats::Rounding& rounding = {}) {
  model::Weights emulated = weights;
  DOVETAIL_TRY(const std::vector<ModelTensor> tensors, model_tensors(weights.shape, recipe));
  for (const ModelTensor& tensor : tensors) {
    std::vector<float>& values = values_of(emulated, tensor.name);
    if (!tensor.is_treated()) {
      DOVETAIL_TRY_STATUS(writer.add_plain(tensor.name, values));
      continue;
    }
    const formats::WeightFormat& format = tensor.treatment->weight;
    const formats::PackedRows packed = formats::encode_with(
        format, rounding.ties,
        formats::choose_scales(format, rounding, tensor.rows, tensor.cols, values.data()),
        tensor.rows, tensor.cols, values.data());
    DOVETAIL_TRY_STATUS(writer.add_linear(tensor.name, packed, rounding));
    DOVETAIL_TRY(values, formats::decode_rows(packed));
  }
  return emulated;
}

inline WriteRequest request_for(const std::string& out, const model::ModelShape& shape,
                                const recipe::Recipe& recipe, const std::string& source = "") {
  return {.out = out,
          .shape = shape,
          .source = source,
          .recipe = recipe,
          .provenance = {.source = "small", .source_sha256 = "none", .text_sha256 = {}}};
}

}  // namespace dovetail::checkpoint
