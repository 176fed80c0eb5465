// A language model inside a GGUF file: its shape, and its tensors under Hugging Face names.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "model/gguf.h"
#include "model/model.h"
#include "model/tensor_source.h"

namespace dovetail::model {

// Architectures llama, qwen2 and qwen3. Of scaled rotary embeddings the linear ones and those of
// a tensor rope_freqs.weight are read. Errors: kInvalidArgument.
[[nodiscard]] Result<ModelShape> gguf_shape(const GgufFile& file);

// Divisors of rotary frequencies in files of the architecture llama, F32 (head_dim / 2).
inline constexpr const char* kRopeDivisorsName = "rope_freqs.weight";

// Tensors of the architecture llama have their query and key rows put back into the order of
// Hugging Face checkpoints.
[[nodiscard]] std::unique_ptr<TensorSource> gguf_tensor_source(GgufFile file,
                                                               const ModelShape& shape);

// "blk.3.attn_q.weight" of "model.layers.3.self_attn.q_proj.weight"; what has no other name stays.
[[nodiscard]] std::string gguf_name(const std::string& hugging_face_name);
// True for matrices and biases whose rows GGUF files keep in the order of rotation pairs.
[[nodiscard]] bool has_rotary_rows(const ModelShape& shape, const std::string& hugging_face_name);
// Row of the Hugging Face order that stands at `row` of a GGUF file, within heads of head_dim.
[[nodiscard]] int64_t rotary_source_row(int64_t row, int64_t head_dim);

}  // namespace dovetail::model
