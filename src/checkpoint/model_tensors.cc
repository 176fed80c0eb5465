#include "checkpoint/model_tensors.h"

#include <fmt/format.h>

namespace dovetail::checkpoint {
namespace {

using recipe::SiteKind;

void add_layer(const model::ModelShape& s, const recipe::Recipe& recipe, int64_t layer,
               std::vector<ModelTensor>& tensors) {
  const std::string at = fmt::format("model.layers.{}.", layer);
  const auto vector = [&](const char* name, int64_t size) {
    tensors.push_back({.name = at + name, .cols = size, .is_vector = true, .treatment = {}});
  };
  const auto matrix = [&](const char* name, int64_t rows, int64_t cols, SiteKind kind) {
    tensors.push_back(
        {.name = at + name,
         .rows = rows,
         .cols = cols,
         .treatment = recipe.layers[static_cast<size_t>(layer)].linear[static_cast<size_t>(kind)],
         .site = recipe::site_name({.kind = kind, .layer = layer})});
  };
  vector("input_layernorm.weight", s.hidden_size);
  matrix("self_attn.q_proj.weight", s.q_size(), s.hidden_size, SiteKind::kAttnQkv);
  matrix("self_attn.k_proj.weight", s.kv_size(), s.hidden_size, SiteKind::kAttnQkv);
  matrix("self_attn.v_proj.weight", s.kv_size(), s.hidden_size, SiteKind::kAttnQkv);
  if (s.qkv_bias) {
    vector("self_attn.q_proj.bias", s.q_size());
    vector("self_attn.k_proj.bias", s.kv_size());
    vector("self_attn.v_proj.bias", s.kv_size());
  }
  if (s.qk_norm) {
    vector("self_attn.q_norm.weight", s.head_dim);
    vector("self_attn.k_norm.weight", s.head_dim);
  }
  matrix("self_attn.o_proj.weight", s.hidden_size, s.q_size(), SiteKind::kAttnO);
  vector("post_attention_layernorm.weight", s.hidden_size);
  matrix("mlp.gate_proj.weight", s.intermediate_size, s.hidden_size, SiteKind::kMlpGateUp);
  matrix("mlp.up_proj.weight", s.intermediate_size, s.hidden_size, SiteKind::kMlpGateUp);
  matrix("mlp.down_proj.weight", s.hidden_size, s.intermediate_size, SiteKind::kMlpDown);
}

}  // namespace

Result<std::vector<ModelTensor>> model_tensors(const model::ModelShape& shape,
                                               const recipe::Recipe& recipe) {
  if (std::ssize(recipe.layers) != shape.num_layers) {
    return invalid_argument(fmt::format("the recipe has {} layers, want the {} of {}",
                                        recipe.layers.size(), shape.num_layers, shape.name));
  }
  if (recipe::prunes(recipe.pruning, shape)) {
    const model::ModelShape after = recipe::pruned_shape(shape, recipe.pruning);
    return invalid_argument(fmt::format(
        "the recipe leaves MLP width {}, {} query and {} key heads of {}, want that shape here, "
        "not {}, {} and {}",
        after.intermediate_size, after.num_heads, after.num_kv_heads, shape.name,
        shape.intermediate_size, shape.num_heads, shape.num_kv_heads));
  }
  const ModelTensor head = {.name = kHeadName,
                            .rows = shape.vocab_size,
                            .cols = shape.hidden_size,
                            .treatment = recipe.head,
                            .site = "head"};
  ModelTensor embedding = {
      .name = kEmbeddingName, .rows = shape.vocab_size, .cols = shape.hidden_size, .treatment = {}};
  std::vector<ModelTensor> tensors;
  const bool head_alone = shape.tied_embedding && head.is_treated();
  if (!head_alone) tensors.push_back(embedding);
  for (int64_t layer = 0; layer < shape.num_layers; ++layer)
    add_layer(shape, recipe, layer, tensors);
  tensors.push_back(
      {.name = "model.norm.weight", .cols = shape.hidden_size, .is_vector = true, .treatment = {}});
  if (!shape.tied_embedding || head_alone) tensors.push_back(head);
  return tensors;
}

std::string module_of(const std::string& name) {
  constexpr std::string_view kWeight = ".weight";
  return name.ends_with(kWeight) ? name.substr(0, name.size() - kWeight.size()) : name;
}

}  // namespace dovetail::checkpoint
