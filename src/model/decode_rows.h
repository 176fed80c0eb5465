// Decoding of one stored matrix, shared by the two tensor sources.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/tensor_blocks.h"

namespace dovetail::model {

// bytes hold exactly rows * cols elements, cols a multiple of the type's block. Rows in parallel.
// Errors: kInvalidArgument if a value is not finite; `where` names file and tensor.
[[nodiscard]] Result<std::vector<float>> decode_rows(TensorType type,
                                                     std::span<const uint8_t> bytes, int64_t rows,
                                                     int64_t cols, const std::string& where);

}  // namespace dovetail::model
