#include "formats/stored_scale.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/result.h"
#include "formats/element.h"
#include "formats/int_range.h"

namespace dovetail::formats {
namespace {

StoredScale nearest_fp16(const WeightFormat& format, float wanted) {
  const float size = std::clamp(std::fabs(wanted), kFp16Min, kFp16Max);
  const uint16_t code = encode_fp16(has_signed_scale(format) ? std::copysign(size, wanted) : size);
  return {.stored = code, .scale = decode_fp16(code)};
}

StoredScale nearest_e8m0(const WeightFormat& format, float size) {
  const float unit = scale_unit(format);
  const auto power = static_cast<int32_t>(std::nearbyint(std::log2(size / unit)));
  const int32_t code = std::clamp(power + 127, 0, kE8m0NanCode - 1);
  return {.stored = static_cast<uint32_t>(code),
          .scale = decode_e8m0(static_cast<uint8_t>(code)) * unit};
}

StoredScale nearest_e4m3(float outer, float size) {
  const uint8_t code = std::clamp<uint8_t>(encode_fp8_e4m3fn(size / outer), 1, kE4m3LargestCode);
  return {.stored = code, .scale = decode_fp8_e4m3fn(code) * outer};
}

StoredScale nearest_uint8(float outer, float size) {
  const float code = std::clamp(std::nearbyint(size / outer), 1.0F, 255.0F);
  return {.stored = static_cast<uint32_t>(code), .scale = code * outer};
}

}  // namespace

StoredScale nearest_scale(const WeightFormat& format, float outer, float wanted) {
  const float size = std::fabs(wanted);
  switch (format.scale) {
    case ScaleType::kFp16:
      return nearest_fp16(format, wanted);
    case ScaleType::kFp32: {
      const float scale = std::max(size, 0x1p-126F);
      return {.stored = std::bit_cast<uint32_t>(scale), .scale = scale};
    }
    case ScaleType::kE8m0:
      return nearest_e8m0(format, size);
    case ScaleType::kE4m3:
      return nearest_e4m3(outer, size);
    case ScaleType::kUint8:
      return nearest_uint8(outer, size);
    case ScaleType::kNone:
      break;
  }
  DOVETAIL_CHECK(format.scale != ScaleType::kNone);
  return {};
}

}  // namespace dovetail::formats
