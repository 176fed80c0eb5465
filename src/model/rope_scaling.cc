#include "model/rope_scaling.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "model/bounded_json.h"

namespace dovetail::model {
namespace {

using nlohmann::json;

Result<double> required_number(const json& scaling, const char* key, const std::string& where) {
  DOVETAIL_TRY(const auto value, json_number(scaling, key, where));
  if (!value.has_value()) return invalid_argument(fmt::format("{}.{} is missing", where, key));
  if (!std::isfinite(*value) || *value <= 0) {
    return invalid_argument(fmt::format("{}.{} = {}, want a positive number", where, key, *value));
  }
  return *value;
}

Result<double> read_factor(const json& scaling, const std::string& where) {
  DOVETAIL_TRY(const double factor, required_number(scaling, "factor", where));
  if (factor < 1) {
    return invalid_argument(fmt::format("{}.factor = {}, want at least 1", where, factor));
  }
  return factor;
}

Result<Llama3Scaling> read_llama3(const json& scaling, const std::string& where) {
  Llama3Scaling read;
  DOVETAIL_TRY(read.factor, read_factor(scaling, where));
  DOVETAIL_TRY(read.low_freq_factor, required_number(scaling, "low_freq_factor", where));
  DOVETAIL_TRY(read.high_freq_factor, required_number(scaling, "high_freq_factor", where));
  if (read.high_freq_factor <= read.low_freq_factor) {
    return invalid_argument(fmt::format("{}.high_freq_factor = {}, want more than the low one, {}",
                                        where, read.high_freq_factor, read.low_freq_factor));
  }
  DOVETAIL_TRY(const auto positions,
               json_integer(scaling, "original_max_position_embeddings", where));
  if (!positions.has_value() || *positions < 1) {
    return invalid_argument(
        fmt::format("{}.original_max_position_embeddings is missing or below 1", where));
  }
  read.original_positions = *positions;
  return read;
}

Result<std::string> read_type(const json& scaling, const std::string& where) {
  DOVETAIL_TRY(auto type, json_text(scaling, "rope_type", where));
  if (!type.has_value()) {
    DOVETAIL_TRY(type, json_text(scaling, "type", where));
  }
  return type.value_or("(missing)");
}

}  // namespace

std::vector<float> llama3_divisors(const Llama3Scaling& scaling, double theta, int64_t head_dim) {
  const auto original = static_cast<double>(scaling.original_positions);
  std::vector<float> divisors;
  for (int64_t i = 0; i < head_dim / 2; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(head_dim);
    const double wave = 2 * std::numbers::pi * std::pow(theta, exponent);  // positions a turn
    const double kept = std::clamp((original / wave - scaling.low_freq_factor) /
                                       (scaling.high_freq_factor - scaling.low_freq_factor),
                                   0.0, 1.0);
    divisors.push_back(static_cast<float>(1 / ((1 - kept) / scaling.factor + kept)));
  }
  return divisors;
}

Result<std::vector<float>> read_rope_divisors(const json& config, const std::string& path,
                                              const ModelShape& shape) {
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    if (!config.contains(key) || config[key].is_null()) continue;
    const json& scaling = config[key];
    const std::string where = fmt::format("{}: {}", path, key);
    DOVETAIL_TRY(const std::string type, read_type(scaling, where));
    if (type == "default") continue;
    if (type == "linear") {
      DOVETAIL_TRY(const double factor, read_factor(scaling, where));
      return std::vector<float>(static_cast<size_t>(shape.head_dim / 2),
                                static_cast<float>(factor));
    }
    if (type == "llama3") {
      DOVETAIL_TRY(const Llama3Scaling llama3, read_llama3(scaling, where));
      return llama3_divisors(llama3, shape.rope_theta, shape.head_dim);
    }
    return invalid_argument(
        fmt::format("{}.rope_type = {}, want default, linear or llama3", where, type));
  }
  return std::vector<float>();
}

float linear_factor(const std::vector<float>& divisors) {
  if (divisors.empty()) return 1;
  const auto [low, high] = std::ranges::minmax(divisors);
  return low == high ? low : 0;
}

}  // namespace dovetail::model
