// The files of a checkpoint that hold no weights: config.json, generation_config.json and the
// tokenizer's, copied from a Hugging Face folder or made from a GGUF file.
#pragma once

#include <string>

#include "base/config.h"
#include "base/result.h"
#include "model/model.h"

namespace dovetail::checkpoint {

// config.json for `shape`. source: a Hugging Face folder, whose keys are kept where the shape and
// what is written here do not say otherwise; a GGUF file; or empty (no token ids are named).
// dtype is float32: programs that cast weights to it leave FP16 and FP32 scales as they are.
// Errors: kNotFound, kInvalidArgument.
[[nodiscard]] Result<Json> config_json(const std::string& source, const model::ModelShape& shape);

// Writes tokenizer and generation_config.json into `folder`. An empty source has neither.
// Errors: as model::load_tokenizer; kIo.
[[nodiscard]] Status write_source_files(const std::string& source, const std::string& folder);

}  // namespace dovetail::checkpoint
