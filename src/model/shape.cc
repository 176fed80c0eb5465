#include "model/shape.h"

#include <cmath>
#include <filesystem>

#include <fmt/format.h>

#include "model/model.h"

namespace dovetail::model {
namespace {

constexpr int64_t kMaxCount = int64_t{1} << 31;
// Recipes and tables have entries for every layer, so a short file must not ask for billions.
constexpr int64_t kMaxLayers = int64_t{1} << 14;
// As doubles, so that the check itself cannot overflow.
constexpr double kMaxParameters = 0x1.0p60;

double parameters_as_double(const ModelShape& s) {
  const auto hidden = static_cast<double>(s.hidden_size);
  const auto head = static_cast<double>(s.head_dim);
  const double attention =
      hidden * head * 2 * (static_cast<double>(s.num_heads) + static_cast<double>(s.num_kv_heads));
  const double mlp = 3 * hidden * static_cast<double>(s.intermediate_size);
  return static_cast<double>(s.num_layers) * (attention + mlp + 8 * hidden) +
         2 * hidden * static_cast<double>(s.vocab_size);
}

}  // namespace

Status check_shape_counts(const ModelShape& shape, const std::string& where) {
  const struct {
    const char* name;
    int64_t value;
  } counts[] = {
      {"number of layers", shape.num_layers},         {"hidden size", shape.hidden_size},
      {"intermediate size", shape.intermediate_size}, {"number of heads", shape.num_heads},
      {"number of KV heads", shape.num_kv_heads},     {"head dimension", shape.head_dim},
      {"vocabulary size", shape.vocab_size},          {"number of positions", shape.max_positions}};
  for (const auto& [name, value] : counts) {
    if (value < 1 || value > kMaxCount) {
      return invalid_argument(fmt::format("{}: {} = {}, want 1..2^31", where, name, value));
    }
  }
  if (shape.num_layers > kMaxLayers) {
    return invalid_argument(
        fmt::format("{}: number of layers = {}, want 1..{}", where, shape.num_layers, kMaxLayers));
  }
  if (shape.num_heads % shape.num_kv_heads != 0) {
    return invalid_argument(
        fmt::format("{}: number of KV heads = {}, want a divisor of the {} heads", where,
                    shape.num_kv_heads, shape.num_heads));
  }
  if (shape.head_dim % 2 != 0) {
    return invalid_argument(
        fmt::format("{}: head dimension = {}, want an even number", where, shape.head_dim));
  }
  return {};
}

Status check_shape(const ModelShape& shape, const std::string& where) {
  DOVETAIL_TRY_STATUS(check_shape_counts(shape, where));
  if (!std::isfinite(shape.rope_theta) || shape.rope_theta <= 0) {
    return invalid_argument(
        fmt::format("{}: rope theta = {}, want a positive number", where, shape.rope_theta));
  }
  if (!shape.rope_divisors.empty() && std::ssize(shape.rope_divisors) != shape.head_dim / 2) {
    return invalid_argument(fmt::format("{}: {} divisors of rotary frequencies, want {}", where,
                                        shape.rope_divisors.size(), shape.head_dim / 2));
  }
  for (const float divisor : shape.rope_divisors) {
    if (std::isfinite(divisor) && divisor > 0) continue;
    return invalid_argument(fmt::format(
        "{}: a divisor of rotary frequencies is {}, want a positive number", where, divisor));
  }
  if (!std::isfinite(shape.rms_norm_eps) || shape.rms_norm_eps <= 0) {
    return invalid_argument(fmt::format("{}: RMS norm epsilon = {}, want a positive number", where,
                                        shape.rms_norm_eps));
  }
  if (parameters_as_double(shape) > kMaxParameters) {
    return invalid_argument(fmt::format("{}: the shape has {:.3g} parameters, want at most 2^60",
                                        where, parameters_as_double(shape)));
  }
  return {};
}

std::string_view family_name(Family family) {
  switch (family) {
    case Family::kLlama:
      return "llama";
    case Family::kQwen2:
      return "qwen2";
    case Family::kQwen3:
      return "qwen3";
  }
  DOVETAIL_CHECK(false);
}

Result<Family> parse_family(std::string_view name, std::string_view where, std::string_view key) {
  for (const Family family : {Family::kLlama, Family::kQwen2, Family::kQwen3}) {
    if (name == family_name(family)) return family;
  }
  return invalid_argument(fmt::format("{}: {} = {}, want llama, qwen2 or qwen3", where, key, name));
}

std::string model_name_of(const std::string& path) {
  std::error_code ignored;
  std::filesystem::path full = std::filesystem::absolute(path, ignored).lexically_normal();
  if (!full.has_filename()) full = full.parent_path();  // a folder with a trailing slash
  const std::string stem =
      full.extension() == ".gguf" || full.extension() == ".json" ? full.stem() : full.filename();
  return stem == "model" || stem == "config" ? full.parent_path().filename().string() : stem;
}

int64_t ModelShape::num_block_linear_weights() const {
  const int64_t attention = hidden_size * 2 * (q_size() + kv_size());
  return num_layers * (attention + 3 * hidden_size * intermediate_size);
}

int64_t ModelShape::num_parameters() const {
  const int64_t norms =
      (2 * num_layers + 1) * hidden_size + (qk_norm ? num_layers * 2 * head_dim : 0);
  const int64_t biases = qkv_bias ? num_layers * (q_size() + 2 * kv_size()) : 0;
  const int64_t embeddings = (tied_embedding ? 1 : 2) * vocab_size * hidden_size;
  return num_block_linear_weights() + norms + biases + embeddings;
}

}  // namespace dovetail::model
