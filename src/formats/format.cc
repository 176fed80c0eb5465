#include "formats/format.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "formats/unknown_format.h"

namespace dovetail::formats {
namespace {

constexpr int64_t kFp16Bits = 16;
constexpr int64_t kFp32Bits = 32;
constexpr int64_t kBlock = 128;
constexpr int64_t kTritsPerByte = 5;

constexpr std::string_view kWanted =
    "bf16, int{2..8}[_asym], ternary, fp8_e4m3fn or fp8_e5m2 [_tensor, _b128, _g{16,32,64,128}], "
    "int{2,3,4}_qoq_g{32,64,128}, nf{3,4}_g{16..128}, lut{3,4}_g{16..128}, mxfp8_e4m3fn, "
    "mxfp8_e5m2, mxfp6_e3m2, mxfp6_e2m3, mxfp4, mxint8 or nvfp4; _2:4 or _4:8 behind any but bf16";

// How the scales of one family may be shared, in the order of the list.
struct Granule {
  int64_t group_size;
  int64_t group_rows;
};
constexpr std::array<Granule, 7> kGranules = {
    {{0, 1}, {128, 1}, {64, 1}, {32, 1}, {16, 1}, {kBlock, kBlock}, {0, 0}}};

void add_granules(WeightFormat format, std::vector<WeightFormat>& formats) {
  for (const Granule& granule : kGranules) {
    format.group_size = granule.group_size;
    format.group_rows = granule.group_rows;
    formats.push_back(format);
  }
}

void add_groups(WeightFormat format, int64_t smallest, std::vector<WeightFormat>& formats) {
  for (int64_t group_size = 128; group_size >= smallest; group_size /= 2) {
    format.group_size = group_size;
    formats.push_back(format);
  }
}

std::vector<WeightFormat> list_weight_formats() {
  std::vector<WeightFormat> formats = {WeightFormat{}};
  for (int64_t bits = 2; bits <= 8; ++bits)
    for (const bool asymmetric : {false, true})
      add_granules(int_format(bits, asymmetric, 0), formats);
  add_granules({.element = Element::kTernary, .bits = 2, .scale = ScaleType::kFp16}, formats);
  for (const int64_t bits : {2, 3, 4})
    add_groups(
        {.element = Element::kInt, .bits = bits, .asymmetric = true, .scale = ScaleType::kUint8},
        32, formats);
  for (const Element element : {Element::kNormalFloat, Element::kTable})
    for (const int64_t bits : {3, 4})
      add_groups({.element = element, .bits = bits, .scale = ScaleType::kFp16}, 16, formats);
  for (const Element element : {Element::kFp8E4m3Fn, Element::kFp8E5m2})
    add_granules({.element = element, .bits = 8, .scale = ScaleType::kFp32}, formats);
  for (const auto& [element, bits] : {std::pair<Element, int64_t>{Element::kFp8E4m3Fn, 8},
                                      {Element::kFp8E5m2, 8},
                                      {Element::kFp6E3m2, 6},
                                      {Element::kFp6E2m3, 6},
                                      {Element::kFp4E2m1, 4},
                                      {Element::kInt, 8}})
    formats.push_back(
        {.element = element, .bits = bits, .scale = ScaleType::kE8m0, .group_size = 32});
  formats.push_back(
      {.element = Element::kFp4E2m1, .bits = 4, .scale = ScaleType::kE4m3, .group_size = 16});
  return formats;
}

std::string mx_name(const WeightFormat& format) {
  switch (format.element) {
    case Element::kFp8E4m3Fn:
      return "mxfp8_e4m3fn";
    case Element::kFp8E5m2:
      return "mxfp8_e5m2";
    case Element::kFp6E3m2:
      return "mxfp6_e3m2";
    case Element::kFp6E2m3:
      return "mxfp6_e2m3";
    case Element::kFp4E2m1:
      return "mxfp4";
    default:
      return fmt::format("mxint{}", format.bits);
  }
}

std::string element_name(const WeightFormat& format) {
  switch (format.element) {
    case Element::kBf16:
      return "bf16";
    case Element::kInt:
      if (format.scale == ScaleType::kUint8) return fmt::format("int{}_qoq", format.bits);
      return fmt::format("int{}{}", format.bits, format.asymmetric ? "_asym" : "");
    case Element::kTernary:
      return "ternary";
    case Element::kFp8E4m3Fn:
      return "fp8_e4m3fn";
    case Element::kFp8E5m2:
      return "fp8_e5m2";
    case Element::kFp6E3m2:
      return "fp6_e3m2";
    case Element::kFp6E2m3:
      return "fp6_e2m3";
    case Element::kFp4E2m1:
      return "fp4_e2m1";
    case Element::kNormalFloat:
      return fmt::format("nf{}", format.bits);
    case Element::kTable:
      return fmt::format("lut{}", format.bits);
  }
  return "unknown";
}

std::string granule_name(const WeightFormat& format) {
  if (format.group_rows == 0) return "_tensor";
  if (format.group_rows == kBlock) return fmt::format("_b{}", kBlock);
  return format.group_size > 0 ? fmt::format("_g{}", format.group_size) : "";
}

WeightFormat dense(WeightFormat format) {
  format.kept = 0;
  format.of = 0;
  return format;
}

}  // namespace

WeightFormat int_format(int64_t bits, bool asymmetric, int64_t group_size) {
  return {.element = Element::kInt,
          .bits = bits,
          .asymmetric = asymmetric,
          .scale = ScaleType::kFp16,
          .group_size = group_size};
}

const std::vector<WeightFormat>& all_weight_formats() {
  static const std::vector<WeightFormat> formats = list_weight_formats();
  return formats;
}

bool is_legal(const WeightFormat& format) {
  const auto& formats = all_weight_formats();
  if (std::ranges::find(formats, dense(format)) == formats.end()) return false;
  const bool none = format.kept == 0 && format.of == 0;
  const bool half = (format.kept == 2 && format.of == 4) || (format.kept == 4 && format.of == 8);
  return none || (half && format.element != Element::kBf16);
}

std::string format_name(const WeightFormat& format) {
  std::string name;
  if (format.scale == ScaleType::kE8m0) {
    name = mx_name(format);
  } else if (format.scale == ScaleType::kE4m3) {
    name = "nvfp4";
  } else {
    name = element_name(format) + granule_name(format);
  }
  return is_sparse(format) ? fmt::format("{}_{}:{}", name, format.kept, format.of) : name;
}

Result<WeightFormat> parse_weight_format(std::string_view name) {
  std::string_view base = name;
  WeightFormat sparse;
  for (const int64_t of : {4, 8}) {
    const std::string suffix = fmt::format("_{}:{}", of / 2, of);
    if (!base.ends_with(suffix)) continue;
    base.remove_suffix(suffix.size());
    sparse.kept = of / 2;
    sparse.of = of;
    break;
  }
  std::vector<std::string> legal;
  for (WeightFormat format : all_weight_formats()) {
    legal.push_back(format_name(format));
    if (legal.back() != base || (is_sparse(sparse) && format.element == Element::kBf16)) continue;
    format.kept = sparse.kept;
    format.of = sparse.of;
    return format;
  }
  return unknown_format("weight", name, kWanted, legal);
}

int64_t num_groups(const WeightFormat& format, int64_t k) {
  if (format.scale == ScaleType::kNone || k <= 0) return 0;
  return format.group_size == 0 ? 1 : (k + format.group_size - 1) / format.group_size;
}

int64_t num_row_groups(const WeightFormat& format, int64_t rows) {
  if (rows <= 0) return 0;
  return format.group_rows == 0 ? 1 : (rows + format.group_rows - 1) / format.group_rows;
}

int64_t scale_bits(const WeightFormat& format) {
  switch (format.scale) {
    case ScaleType::kNone:
      return 0;
    case ScaleType::kFp16:
      return kFp16Bits;
    case ScaleType::kFp32:
      return kFp32Bits;
    case ScaleType::kE8m0:
    case ScaleType::kE4m3:
    case ScaleType::kUint8:
      return 8;
  }
  return 0;
}

int64_t kept_per_row(const WeightFormat& format, int64_t k) {
  if (!is_sparse(format)) return k;
  return k / format.of * format.kept + std::min(k % format.of, format.kept);
}

int64_t payload_bits_per_row(const WeightFormat& format, int64_t k) {
  const int64_t count = kept_per_row(format, k);
  if (format.element != Element::kTernary) return count * format.bits;
  return (count + kTritsPerByte - 1) / kTritsPerByte * 8;
}

int64_t stored_bits_per_row(const WeightFormat& format, int64_t k) {
  const int64_t zero_bits = format.asymmetric ? format.bits : 0;
  int64_t scales = num_groups(format, k) * (scale_bits(format) + zero_bits);
  if (format.group_rows == 0) scales = 0;
  if (format.group_rows > 1) scales = (scales + format.group_rows - 1) / format.group_rows;
  if (format.scale == ScaleType::kUint8 && k > 0) scales += kFp16Bits;
  return payload_bits_per_row(format, k) + scales + (is_sparse(format) ? k : 0);
}

}  // namespace dovetail::formats
