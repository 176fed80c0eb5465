// A language model inside a GGUF file: its shape, and its tensors under Hugging Face names.
#pragma once

#include <memory>

#include "base/result.h"
#include "model/gguf.h"
#include "model/hf_config.h"
#include "model/model.h"
#include "model/tensor_source.h"

namespace dovetail::model {

// Architectures llama and qwen2. Scaled rotary embeddings are refused for ConfigUse::kWeights.
// Errors: kInvalidArgument.
[[nodiscard]] Result<ModelShape> gguf_shape(const GgufFile& file, ConfigUse use);

// Tensors of the architecture llama have their query and key rows put back into the order of
// Hugging Face checkpoints.
[[nodiscard]] std::unique_ptr<TensorSource> gguf_tensor_source(GgufFile file,
                                                               const ModelShape& shape);

}  // namespace dovetail::model
