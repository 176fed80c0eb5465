#include "model/hf_config.h"

#include <fmt/format.h>

#include "model/bounded_json.h"
#include "model/rope_scaling.h"
#include "model/shape.h"

namespace dovetail::model {
namespace {

using Config = nlohmann::json;

constexpr int64_t kQwen3HeadDim = 128;  // of Qwen3Config in transformers, whatever the hidden size

Result<int64_t> required_count(const Config& config, const char* key, const std::string& path) {
  DOVETAIL_TRY(const auto value, json_integer(config, key, path));
  if (!value.has_value()) return invalid_argument(fmt::format("{}: {} is missing", path, key));
  return *value;
}

Result<Family> read_family(const Config& config, const std::string& path) {
  DOVETAIL_TRY(const auto type, json_text(config, "model_type", path));
  return parse_family(type.value_or("(missing)"), path, "model_type");
}

// The function that we compute has none of the variants below; a checkpoint that asks for one
// would load and silently give wrong logits.
Status refuse_variants(const Config& config, Family family, const std::string& path) {
  DOVETAIL_TRY(const auto activation, json_text(config, "hidden_act", path));
  if (activation.value_or("silu") != "silu") {
    return invalid_argument(fmt::format("{}: hidden_act = {}, want silu", path, *activation));
  }
  DOVETAIL_TRY(const auto window, json_bool(config, "use_sliding_window", path));
  if (window.value_or(false)) {
    return invalid_argument(fmt::format("{}: use_sliding_window = true, want false", path));
  }
  if (const auto types = config.find("layer_types"); types != config.end() && types->is_array()) {
    for (const Config& type : *types) {
      if (type == "full_attention") continue;
      return invalid_argument(
          fmt::format("{}: layer_types has {}, want full_attention", path, type.dump()));
    }
  }
  DOVETAIL_TRY(const auto mlp_bias, json_bool(config, "mlp_bias", path));
  if (mlp_bias.value_or(false)) {
    return invalid_argument(fmt::format("{}: mlp_bias = true, want false", path));
  }
  DOVETAIL_TRY(const auto attention_bias, json_bool(config, "attention_bias", path));
  if (family != Family::kQwen2 && attention_bias.value_or(false)) {
    return invalid_argument(
        fmt::format("{}: attention_bias = true, want false: in the {} family it also puts a bias "
                    "on the output projection",
                    path, family_name(family)));
  }
  // What its schemes are is read with the weights (compressed_tensors.h).
  if (config.contains("quantization_config") && config["quantization_config"].is_object()) {
    DOVETAIL_TRY(const auto method, json_text(config["quantization_config"], "quant_method", path));
    if (method.value_or("(missing)") != "compressed-tensors") {
      return invalid_argument(
          fmt::format("{}: quantization_config.quant_method = {}, want an unquantised "
                      "checkpoint or compressed-tensors",
                      path, method.value_or("(missing)")));
    }
  }
  return {};
}

Result<double> read_rope_theta(const Config& config, const std::string& path) {
  DOVETAIL_TRY(auto theta, json_number(config, "rope_theta", path));
  if (!theta.has_value() && config.contains("rope_parameters")) {
    DOVETAIL_TRY(theta, json_number(config["rope_parameters"], "rope_theta", path));
  }
  return theta.value_or(10000.0);
}

Status read_counts(const Config& config, const std::string& path, ModelShape& shape) {
  DOVETAIL_TRY(shape.num_layers, required_count(config, "num_hidden_layers", path));
  DOVETAIL_TRY(shape.hidden_size, required_count(config, "hidden_size", path));
  DOVETAIL_TRY(shape.intermediate_size, required_count(config, "intermediate_size", path));
  DOVETAIL_TRY(shape.num_heads, required_count(config, "num_attention_heads", path));
  DOVETAIL_TRY(shape.vocab_size, required_count(config, "vocab_size", path));
  DOVETAIL_TRY(const auto kv_heads, json_integer(config, "num_key_value_heads", path));
  shape.num_kv_heads = kv_heads.value_or(shape.num_heads);
  DOVETAIL_TRY(auto head_dim, json_integer(config, "head_dim", path));
  if (!head_dim.has_value() && shape.family == Family::kQwen3) head_dim = kQwen3HeadDim;
  if (!head_dim.has_value() && (shape.num_heads < 1 || shape.hidden_size % shape.num_heads != 0)) {
    return invalid_argument(
        fmt::format("{}: hidden_size = {} is no multiple of num_attention_heads "
                    "= {} and head_dim is missing",
                    path, shape.hidden_size, shape.num_heads));
  }
  shape.head_dim = head_dim.has_value() ? *head_dim : shape.hidden_size / shape.num_heads;
  DOVETAIL_TRY(const auto positions, json_integer(config, "max_position_embeddings", path));
  shape.max_positions = positions.value_or(shape.family == Family::kLlama ? 2048 : 32768);
  return {};
}

}  // namespace

Result<ModelShape> read_hf_config(const std::string& path) {
  DOVETAIL_TRY(const Config config, read_bounded_json(path));
  if (!config.is_object()) return invalid_argument(fmt::format("{}: want one JSON object", path));
  ModelShape shape;
  shape.name = model_name_of(path);
  DOVETAIL_TRY(shape.family, read_family(config, path));
  DOVETAIL_TRY_STATUS(refuse_variants(config, shape.family, path));
  DOVETAIL_TRY_STATUS(read_counts(config, path, shape));
  DOVETAIL_TRY(shape.rope_theta, read_rope_theta(config, path));
  DOVETAIL_TRY_STATUS(check_shape_counts(shape, path));
  DOVETAIL_TRY(shape.rope_divisors, read_rope_divisors(config, path, shape));
  DOVETAIL_TRY(const auto eps, json_number(config, "rms_norm_eps", path));
  shape.rms_norm_eps = eps.value_or(1e-6);
  DOVETAIL_TRY(const auto tied, json_bool(config, "tie_word_embeddings", path));
  shape.tied_embedding = tied.value_or(false);
  shape.qkv_bias = shape.family == Family::kQwen2;
  shape.qk_norm = shape.family == Family::kQwen3;
  DOVETAIL_TRY_STATUS(check_shape(shape, path));
  return shape;
}

}  // namespace dovetail::model
