#include "formats/format.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/config.h"

namespace dovetail::formats {
namespace {

constexpr std::array<int64_t, 6> kIntBits = {2, 3, 4, 5, 6, 8};
constexpr std::array<int64_t, 4> kIntGroupSizes = {0, 128, 64, 32};

constexpr std::array<std::pair<ActivationFormat, std::string_view>, 3> kActivationNames = {
    {{ActivationFormat::kBf16, "bf16"},
     {ActivationFormat::kInt8Token, "int8_token"},
     {ActivationFormat::kFp8Token, "fp8_token"}}};
constexpr std::array<std::pair<KvFormat, std::string_view>, 3> kKvNames = {
    {{KvFormat::kBf16, "bf16"}, {KvFormat::kInt8, "int8"}, {KvFormat::kInt4, "int4"}}};

constexpr int64_t kFp16Bits = 16;
constexpr int64_t kFp32Bits = 32;
constexpr int64_t kByteScaleBits = 8;  // E8M0 and E4M3

std::vector<WeightFormat> list_weight_formats() {
  std::vector<WeightFormat> formats = {WeightFormat{}};
  for (const int64_t bits : kIntBits)
    for (const bool asymmetric : {false, true})
      for (const int64_t group_size : kIntGroupSizes)
        formats.push_back({.family = WeightFamily::kInt,
                           .bits = bits,
                           .asymmetric = asymmetric,
                           .group_size = group_size});
  formats.push_back({.family = WeightFamily::kFp8E4m3Fn, .bits = 8});
  formats.push_back({.family = WeightFamily::kMxfp4, .bits = 4, .group_size = 32});
  formats.push_back({.family = WeightFamily::kNvfp4, .bits = 4, .group_size = 16});
  return formats;
}

std::unexpected<Error> unknown_name(std::string_view kind, std::string_view name,
                                    std::string_view wanted,
                                    const std::vector<std::string>& legal) {
  const auto near = nearest_name(name, legal);
  return invalid_argument(
      fmt::format("{} format = \"{}\", want {}{}", kind, name, wanted,
                  near.has_value() ? fmt::format(" (did you mean {}?)", *near) : ""));
}

template <typename Format, size_t kCount>
Result<Format> parse_listed(std::string_view kind, std::string_view name,
                            const std::array<std::pair<Format, std::string_view>, kCount>& names) {
  std::vector<std::string> legal;
  for (const auto& [format, legal_name] : names) {
    if (legal_name == name) return format;
    legal.emplace_back(legal_name);
  }
  return unknown_name(kind, name, fmt::format("one of {}", fmt::join(legal, ", ")), legal);
}

template <typename Format, size_t kCount>
std::string name_of(Format format,
                    const std::array<std::pair<Format, std::string_view>, kCount>& names) {
  for (const auto& [listed, name] : names)
    if (listed == format) return std::string(name);
  return "unknown";
}

}  // namespace

const std::vector<WeightFormat>& all_weight_formats() {
  static const std::vector<WeightFormat> formats = list_weight_formats();
  return formats;
}

std::string format_name(const WeightFormat& format) {
  switch (format.family) {
    case WeightFamily::kBf16:
      return "bf16";
    case WeightFamily::kInt:
      return fmt::format("int{}{}{}", format.bits, format.asymmetric ? "_asym" : "",
                         format.group_size > 0 ? fmt::format("_g{}", format.group_size) : "");
    case WeightFamily::kFp8E4m3Fn:
      return "fp8_e4m3fn";
    case WeightFamily::kMxfp4:
      return "mxfp4";
    case WeightFamily::kNvfp4:
      return "nvfp4";
  }
  return "unknown";
}

std::string format_name(ActivationFormat format) {
  return name_of(format, kActivationNames);
}

std::string format_name(KvFormat format) {
  return name_of(format, kKvNames);
}

Result<WeightFormat> parse_weight_format(std::string_view name) {
  std::vector<std::string> legal;
  for (const WeightFormat& format : all_weight_formats()) {
    legal.push_back(format_name(format));
    if (legal.back() == name) return format;
  }
  return unknown_name("weight", name,
                      "bf16, int{2,3,4,5,6,8}[_asym][_g{32,64,128}], fp8_e4m3fn, mxfp4 or nvfp4",
                      legal);
}

Result<ActivationFormat> parse_activation_format(std::string_view name) {
  return parse_listed("activation", name, kActivationNames);
}

Result<KvFormat> parse_kv_format(std::string_view name) {
  return parse_listed("kv", name, kKvNames);
}

int64_t num_groups(const WeightFormat& format, int64_t k) {
  if (format.family == WeightFamily::kBf16 || k <= 0) return 0;
  return format.group_size == 0 ? 1 : (k + format.group_size - 1) / format.group_size;
}

int64_t scale_bits(const WeightFormat& format) {
  switch (format.family) {
    case WeightFamily::kBf16:
      return 0;
    case WeightFamily::kInt:
      return kFp16Bits;
    case WeightFamily::kFp8E4m3Fn:
      return kFp32Bits;
    case WeightFamily::kMxfp4:
    case WeightFamily::kNvfp4:
      return kByteScaleBits;
  }
  return 0;
}

int64_t stored_bits_per_row(const WeightFormat& format, int64_t k) {
  const int64_t zero_bits = format.asymmetric ? format.bits : 0;
  return k * format.bits + num_groups(format, k) * (scale_bits(format) + zero_bits);
}

int64_t stored_bits_per_kv_vector(KvFormat format, int64_t head_dim) {
  switch (format) {
    case KvFormat::kBf16:
      return 16 * head_dim;
    case KvFormat::kInt8:
      return 8 * head_dim + kFp16Bits + 8;
    case KvFormat::kInt4:
      return 4 * head_dim + kFp16Bits + 4;
  }
  return 0;
}

int64_t element_bits(ActivationFormat format) {
  return format == ActivationFormat::kBf16 ? 16 : 8;
}

}  // namespace dovetail::formats
