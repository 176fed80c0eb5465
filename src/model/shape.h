// Checks and names that every loader of a ModelShape shares.
#pragma once

#include <string>

#include "base/result.h"
#include "model/model.h"

namespace dovetail::model {

// Every count in 1..2^31, kv heads divide heads, head_dim even, rope_theta and eps positive and
// finite, one divisor of each rotary frequency or none, and the bytes of all parameters in FP32
// below 2^62, so that no product of two dimensions and 8 overflows. Errors: kInvalidArgument;
// `where` stands in front.
[[nodiscard]] Status check_shape(const ModelShape& shape, const std::string& where);

// The part of it that concerns the counts alone, for readers that build on them.
[[nodiscard]] Status check_shape_counts(const ModelShape& shape, const std::string& where);

// Name of a model from its path: the file's stem, or the name of the folder that holds it where
// the stem says nothing (model.gguf, config.json).
[[nodiscard]] std::string model_name_of(const std::string& path);

}  // namespace dovetail::model
