// A checkpoint opened for reading piece by piece: for models larger than memory. load_weights reads
// through it too.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/model.h"
#include "model/tensor_source.h"

namespace dovetail::model {

class WeightsReader {
 public:
  // Opens a GGUF file, or a folder with config.json and safetensors. Errors: as load_shape.
  [[nodiscard]] static Result<WeightsReader> open(const std::string& path);

  [[nodiscard]] const ModelShape& shape() const { return shape_; }
  [[nodiscard]] const std::string& path() const { return path_; }

  // Decoded to FP32. Nothing of the file stays in memory behind the results.
  // Errors: kInvalidArgument naming file and tensor (absent, another shape, not finite).
  [[nodiscard]] Result<LayerWeights> layer(int64_t index) const;
  [[nodiscard]] Result<Matrix> embedding() const;  // (vocab, hidden)
  // Rows of the embedding, (ids, hidden). ids: 0..vocab-1, checked.
  [[nodiscard]] Result<Matrix> embedding_of(const std::vector<int32_t>& ids) const;
  [[nodiscard]] Result<Matrix> head() const;  // (vocab, hidden); empty when tied
  [[nodiscard]] Result<std::vector<float>> final_norm() const;

  // A tensor that no part of the model takes means a variant of the architecture that would be
  // computed wrongly. Errors: kInvalidArgument naming it.
  [[nodiscard]] Status check_no_tensor_is_left() const;

 private:
  WeightsReader(std::string path, const ModelShape& shape, std::unique_ptr<TensorSource> source)
      : path_(std::move(path)), shape_(shape), source_(std::move(source)) {}
  [[nodiscard]] Result<Matrix> matrix(const std::string& name, int64_t rows, int64_t cols) const;

  std::string path_;
  ModelShape shape_;
  std::unique_ptr<TensorSource> source_;
};

}  // namespace dovetail::model
