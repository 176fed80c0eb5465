#include "checkpoint/plain_values.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "formats/element.h"

namespace dovetail::checkpoint {
namespace {

using model::TensorType;

PlainBytes stored_as(TensorType type, std::span<const float> values) {
  PlainBytes made{.type = type};
  if (type == TensorType::kF32) {
    made.bytes.resize(values.size_bytes());
    std::memcpy(made.bytes.data(), values.data(), values.size_bytes());
    made.decoded.assign(values.begin(), values.end());
    return made;
  }
  for (const float value : values) {
    const uint16_t code =
        type == TensorType::kF16 ? formats::encode_fp16(value) : formats::encode_bf16(value);
    made.bytes.push_back(static_cast<uint8_t>(code));
    made.bytes.push_back(static_cast<uint8_t>(code >> 8));
    made.decoded.push_back(type == TensorType::kF16 ? formats::decode_fp16(code)
                                                    : formats::decode_bf16(code));
  }
  return made;
}

bool is_exact(TensorType type, std::span<const float> values) {
  return std::ranges::all_of(values, [&](float value) {
    const float back = type == TensorType::kF16 ? formats::decode_fp16(formats::encode_fp16(value))
                                                : formats::decode_bf16(formats::encode_bf16(value));
    return std::bit_cast<uint32_t>(back) == std::bit_cast<uint32_t>(value);
  });
}

}  // namespace

Result<PlainBytes> plain_bytes(const std::string& name, std::span<const float> values,
                               PlainType type, bool prefers_f16) {
  if (type == PlainType::kF32) return stored_as(TensorType::kF32, values);
  if (type == PlainType::kBf16) return stored_as(TensorType::kBf16, values);
  if (type == PlainType::kExact) {
    const TensorType first = prefers_f16 ? TensorType::kF16 : TensorType::kBf16;
    const TensorType second = prefers_f16 ? TensorType::kBf16 : TensorType::kF16;
    for (const TensorType half : {first, second})
      if (is_exact(half, values)) return stored_as(half, values);
    return stored_as(TensorType::kF32, values);
  }
  PlainBytes made = stored_as(TensorType::kF16, values);
  if (std::ranges::all_of(made.decoded, [](float v) { return std::isfinite(v); })) return made;
  return invalid_argument(
      fmt::format("{}: a magnitude above 65504 does not fit F16; BF16 and F32 hold it", name));
}

}  // namespace dovetail::checkpoint
