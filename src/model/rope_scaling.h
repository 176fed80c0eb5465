// Rotary embeddings whose frequencies were slowed down to reach further than a model was first
// trained for.
//
// Every way that is read comes down to one number per frequency that divides it, which is also what
// GGUF stores.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/model.h"

namespace dovetail::model {

// Frequencies of short waves stay, those of long waves are divided by `factor`, in between the two
// mix.
struct Llama3Scaling {
  double factor = 1;           // >= 1
  double low_freq_factor = 1;  // waves longer than original_positions / this are long; > 0
  double high_freq_factor =
      4;  // waves shorter than original_positions / this are short; > the low one
  int64_t original_positions = 8192;  // >= 1
};

// What divides theta^(-2 i / head_dim), (head_dim / 2).
// Source: Meta, llama-models, models/llama3/model.py, apply_scaling.
[[nodiscard]] std::vector<float> llama3_divisors(const Llama3Scaling& scaling, double theta,
                                                 int64_t head_dim);

// The divisors that rope_parameters (transformers 5) or rope_scaling (before) of a config.json ask
// for: rope_type llama3 or linear; empty for default. `shape`: head_dim and rope_theta are read.
// Errors: kInvalidArgument naming the rope_type that is not computed, or the key that is missing or
// out of range.
[[nodiscard]] Result<std::vector<float>> read_rope_divisors(const nlohmann::json& config,
                                                            const std::string& path,
                                                            const ModelShape& shape);

// The factor of linear scaling if all divisors are one number, 1 if there are none, 0 if they
// differ.
[[nodiscard]] float linear_factor(const std::vector<float>& divisors);

}  // namespace dovetail::model
