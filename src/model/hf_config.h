// config.json of a Hugging Face checkpoint as a ModelShape.
//
// Defaults of absent keys are those of the LlamaConfig, Qwen2Config and Qwen3Config classes of
// transformers.
#pragma once

#include <string>

#include "base/result.h"
#include "model/model.h"

namespace dovetail::model {

// path: a config.json. The name of the shape is that of the folder that holds it.
// Errors: kNotFound, kInvalidArgument.
[[nodiscard]] Result<ModelShape> read_hf_config(const std::string& path);

}  // namespace dovetail::model
