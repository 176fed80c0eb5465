// Values without a format as BF16, F16 or F32 bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/folder_writer.h"
#include "model/tensor_blocks.h"

namespace dovetail::checkpoint {

struct PlainBytes {
  model::TensorType type = model::TensorType::kF32;  // kF32, kF16 or kBf16
  std::vector<uint8_t> bytes = {};
  std::vector<float> decoded = {};  // what the bytes say
};

// Errors: kInvalidArgument naming `name` if kF16 overflows.
[[nodiscard]] Result<PlainBytes> plain_bytes(const std::string& name, std::span<const float> values,
                                             PlainType type, bool prefers_f16);

}  // namespace dovetail::checkpoint
