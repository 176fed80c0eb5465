// Where load_weights takes its tensors from: a GGUF file or safetensors files. Names are those of
// Hugging Face checkpoints ("model.layers.3.self_attn.q_proj.weight").
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace dovetail::model {

class TensorSource {
 public:
  TensorSource() = default;
  TensorSource(const TensorSource&) = delete;
  TensorSource& operator=(const TensorSource&) = delete;
  virtual ~TensorSource() = default;

  // All names in the source; those that load_weights does not take are an error there.
  [[nodiscard]] virtual std::set<std::string> names() const = 0;
  // (rows, cols) row-major in FP32; a vector has rows = 1.
  // Errors: kInvalidArgument if the tensor is absent, has another shape, or is not finite.
  [[nodiscard]] virtual Result<std::vector<float>> read(const std::string& name, int64_t rows,
                                                        int64_t cols) const = 0;
  // Rows first .. first + count - 1 of that matrix, (count, cols), for those who cannot hold it.
  // Errors: as read.
  [[nodiscard]] virtual Result<std::vector<float>> read_rows(const std::string& name, int64_t rows,
                                                             int64_t cols, int64_t first,
                                                             int64_t count) const = 0;
  // Gives memory back that reading took beside its results (pages of mapped files).
  virtual void release() const {}
};

}  // namespace dovetail::model
