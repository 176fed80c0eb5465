#include "formats/activation.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "base/result.h"
#include "formats/element.h"
#include "formats/unknown_format.h"

namespace dovetail::formats {
namespace {

constexpr float kSmallestFp32Scale = 0x1p-126F;
constexpr int64_t kFp32Bits = 32;

constexpr WeightFormat row(Element element, int64_t bits, ScaleType scale, int64_t group_size) {
  return {.element = element, .bits = bits, .scale = scale, .group_size = group_size};
}
constexpr WeightFormat int_row(int64_t bits, int64_t group_size) {
  return row(Element::kInt, bits, group_size == 0 ? ScaleType::kFp32 : ScaleType::kFp16,
             group_size);
}
constexpr WeightFormat kFp8Row = row(Element::kFp8E4m3Fn, 8, ScaleType::kFp32, 0);

// In the order of the enumerators.
constexpr std::array<ActivationFacts, 15> kFacts = {
    {{ActivationFormat::kBf16, "bf16", {}},
     {ActivationFormat::kInt8Token, "int8_token", int_row(8, 0), 127},
     {ActivationFormat::kFp8Token, "fp8_token", kFp8Row, kFp8E4m3FnMax},
     {ActivationFormat::kInt4Token, "int4_token", int_row(4, 0), 10},
     {ActivationFormat::kInt8Static, "int8_static", int_row(8, 0), 127, true},
     {ActivationFormat::kFp8Static, "fp8_static", kFp8Row, kFp8E4m3FnMax, true},
     {ActivationFormat::kInt8G128, "int8_g128", int_row(8, 128)},
     {ActivationFormat::kInt8G64, "int8_g64", int_row(8, 64)},
     {ActivationFormat::kInt8G32, "int8_g32", int_row(8, 32)},
     {ActivationFormat::kInt4G128, "int4_g128", int_row(4, 128)},
     {ActivationFormat::kInt4G64, "int4_g64", int_row(4, 64)},
     {ActivationFormat::kInt4G32, "int4_g32", int_row(4, 32)},
     {ActivationFormat::kMxfp8, "mxfp8", row(Element::kFp8E4m3Fn, 8, ScaleType::kE8m0, 32)},
     {ActivationFormat::kMxfp4, "mxfp4", row(Element::kFp4E2m1, 4, ScaleType::kE8m0, 32)},
     {ActivationFormat::kNvfp4, "nvfp4", row(Element::kFp4E2m1, 4, ScaleType::kE4m3, 16)}}};

float top_of(const WeightFormat& row) {
  if (is_float(row.element)) return float_form(row.element).max;
  return static_cast<float>((1 << (row.bits - 1)) - 1);
}

float absmax_of(int64_t n, const float* x) {
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(x[i]));
  return largest;
}

struct Scale {
  uint32_t stored = 0;
  float acts = 0;
};

Scale scale_of(const ActivationFacts& facts, float absmax, float token_scale) {
  const WeightFormat& row = facts.row;
  switch (row.scale) {
    case ScaleType::kFp16: {
      const uint16_t code = encode_fp16(std::clamp(absmax / top_of(row), kFp16Min, kFp16Max));
      return {code, decode_fp16(code)};
    }
    case ScaleType::kE8m0: {
      const uint8_t code = e8m0_scale(ScaleRule::kFloor, absmax, scaled_element(row));
      return {code, decode_e8m0(code)};
    }
    case ScaleType::kE4m3: {
      const uint8_t nearest = encode_fp8_e4m3fn(absmax / kE2m1Max / token_scale);
      const uint8_t code = std::max<uint8_t>(nearest, 1);
      return {code, decode_fp8_e4m3fn(code) * token_scale};
    }
    default: {
      const float scale = std::max(absmax / facts.absmax_steps, kSmallestFp32Scale);
      return {std::bit_cast<uint32_t>(scale), scale};
    }
  }
}

// x in units of the scale, to the nearest code.
uint16_t code_of(const WeightFormat& row, float x) {
  if (is_float(row.element)) return encode_float(row.element, x);
  const float top = top_of(row);
  const auto whole = static_cast<int32_t>(std::nearbyint(std::clamp(x, -top - 1, top)));
  return static_cast<uint16_t>(static_cast<uint32_t>(whole) & ((1U << row.bits) - 1));
}

float value_of(const WeightFormat& row, uint16_t code) {
  if (is_float(row.element)) return decode_float(row.element, static_cast<uint8_t>(code));
  const int32_t wrap = (code >> (row.bits - 1)) != 0 ? 1 << row.bits : 0;
  return static_cast<float>(int32_t{code} - wrap);
}

int64_t group_length(const WeightFormat& row, int64_t k) {
  return row.group_size == 0 ? std::max<int64_t>(k, 1) : row.group_size;
}

}  // namespace

const ActivationFacts& activation_facts(ActivationFormat format) {
  return kFacts[static_cast<size_t>(format)];
}

std::span<const ActivationFacts> all_activation_formats() {
  return kFacts;
}

std::string format_name(ActivationFormat format) {
  return std::string(activation_facts(format).name);
}

Result<ActivationFormat> parse_activation_format(std::string_view name) {
  std::vector<std::string> legal;
  for (const ActivationFacts& facts : kFacts) {
    if (facts.name == name) return facts.format;
    legal.emplace_back(facts.name);
  }
  return unknown_format("activation", name, fmt::format("one of {}", fmt::join(legal, ", ")),
                        legal);
}

int64_t element_bits(ActivationFormat format) {
  return activation_facts(format).row.bits;
}

int64_t stored_bits_per_token(ActivationFormat format, int64_t k) {
  const ActivationFacts& facts = activation_facts(format);
  const int64_t scales = facts.is_static ? 0 : num_groups(facts.row, k) * scale_bits(facts.row);
  const int64_t token = facts.row.scale == ScaleType::kE4m3 && k > 0 ? kFp32Bits : 0;
  return k * facts.row.bits + scales + token;
}

float static_scale(ActivationFormat format, float absmax) {
  DOVETAIL_CHECK(is_static(format));
  return scale_of(activation_facts(format), absmax, 1).acts;
}

TokenCodes encode_token(ActivationFormat format, float fixed_scale, int64_t k, const float* x) {
  const ActivationFacts& facts = activation_facts(format);
  TokenCodes token;
  if (format == ActivationFormat::kBf16) {
    for (int64_t i = 0; i < k; ++i) token.codes.push_back(encode_bf16(x[i]));
    return token;
  }
  DOVETAIL_CHECK(!facts.is_static || fixed_scale > 0);
  if (facts.row.scale == ScaleType::kE4m3) {
    const float absmax = absmax_of(k, x);
    if (absmax > 0)
      token.token_scale = std::max(absmax / (kE2m1Max * kFp8E4m3FnMax), kSmallestFp32Scale);
  }
  const int64_t length = group_length(facts.row, k);
  for (int64_t begin = 0; begin < k; begin += length) {
    const int64_t n = std::min(length, k - begin);
    const float absmax = absmax_of(n, x + begin);
    Scale scale{std::bit_cast<uint32_t>(fixed_scale), fixed_scale};
    if (!facts.is_static)
      scale = absmax == 0 ? Scale{} : scale_of(facts, absmax, token.token_scale);
    token.stored.push_back(scale.stored);
    token.scale.push_back(scale.acts);
    for (int64_t i = begin; i < begin + n; ++i)
      token.codes.push_back(scale.acts == 0 ? uint16_t{0} : code_of(facts.row, x[i] / scale.acts));
  }
  return token;
}

std::vector<float> decode_token(ActivationFormat format, const TokenCodes& token) {
  const WeightFormat& row = activation_facts(format).row;
  const auto k = static_cast<int64_t>(token.codes.size());
  const int64_t length = group_length(row, k);
  std::vector<float> values;
  for (int64_t i = 0; i < k; ++i) {
    const uint16_t code = token.codes[static_cast<size_t>(i)];
    values.push_back(format == ActivationFormat::kBf16
                         ? decode_bf16(code)
                         : value_of(row, code) * token.scale[static_cast<size_t>(i / length)]);
  }
  return values;
}

}  // namespace dovetail::formats
