// config.json of a Hugging Face checkpoint as a ModelShape.
//
// Defaults of absent keys are those of the LlamaConfig and Qwen2Config classes of transformers.
#pragma once

#include <string>

#include "base/result.h"
#include "model/model.h"

namespace dovetail::model {

// What the shape will be used for. Scaled rotary embeddings change the function but not the cost:
// with kShapeOnly the "llama3" scaling passes, with kWeights it is an error.
enum class ConfigUse : uint8_t { kShapeOnly, kWeights };

// path: a config.json. The name of the shape is that of the folder that holds it.
// Errors: kNotFound, kInvalidArgument.
[[nodiscard]] Result<ModelShape> read_hf_config(const std::string& path, ConfigUse use);

}  // namespace dovetail::model
