#include "checkpoint/packed_tensors.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <fmt/format.h>

namespace dovetail::checkpoint {
namespace {

using formats::Element;
using formats::PackedRows;
using formats::ScaleType;
using formats::WeightFormat;

// What stands nearest to a format that the layout has no words for.
std::string nearest_expressible(const WeightFormat& format) {
  WeightFormat near = format;
  near.kept = near.of = 0;
  if (format.element == Element::kTernary) near = formats::int_format(2, false, format.group_size);
  if (format.element == Element::kNormalFloat || format.element == Element::kTable ||
      format.scale == ScaleType::kUint8)
    near = formats::int_format(format.bits, true, format.group_size);
  if (format.element == Element::kInt && format.scale == ScaleType::kE8m0)
    near = formats::int_format(8, false, 32);
  if (format.element == Element::kFp8E5m2) near.element = Element::kFp8E4m3Fn;
  if (format.element == Element::kFp6E3m2) near.element = Element::kFp6E2m3;
  return formats::format_name(near);
}

// Why the layout cannot hold a format; empty if it can.
std::string inexpressible(const WeightFormat& format) {
  if (formats::is_sparse(format)) return "sparse weights";
  switch (format.element) {
    case Element::kTernary:
      return "five ternary codes to a byte";
    case Element::kNormalFloat:
    case Element::kTable:
      return "codebooks";
    case Element::kFp8E5m2:
      return "FP8 E5M2";
    case Element::kFp6E3m2:
      return "FP6 E3M2";
    default:
      break;
  }
  if (format.scale == ScaleType::kUint8) return "two levels of scales";
  if (format.element == Element::kInt && format.scale == ScaleType::kE8m0)
    return "integers with E8M0 scales";
  return {};
}

// The format with the longest shorter group that divides k; one scale a row if none does.
std::string dividing_format(WeightFormat format, int64_t k) {
  if (format.scale != ScaleType::kFp16 && format.scale != ScaleType::kFp32) return "bf16";
  do {
    format.group_size /= 2;
  } while (format.group_size >= 16 && k % format.group_size != 0);
  if (format.group_size < 16) format.group_size = 0;
  return formats::format_name(format);
}

std::string stored_as(const WeightFormat& format, formats::ActivationFormat activation) {
  using formats::ActivationFormat;
  switch (format.element) {
    case Element::kInt:
      return format.bits == 8 && activation == ActivationFormat::kInt8Token ? "int-quantized"
                                                                            : "pack-quantized";
    case Element::kFp4E2m1:
      return format.scale == ScaleType::kE4m3 ? "nvfp4-pack-quantized" : "mxfp4-pack-quantized";
    case Element::kFp6E2m3:
      return "mxfp6-pack-quantized";
    default:
      break;
  }
  if (format.scale == ScaleType::kE8m0) return "mxfp8-quantized";
  return activation == ActivationFormat::kFp8Token ? "float-quantized" : "naive-quantized";
}

Json weight_args(const WeightFormat& format) {
  Json args = {{"num_bits", format.bits},
               {"type", format.element == Element::kInt ? "int" : "float"},
               {"symmetric", !format.asymmetric},
               {"dynamic", false}};
  if (format.group_rows == 0) {
    args["strategy"] = "tensor";
  } else if (format.group_rows > 1) {
    args["strategy"] = "block";
    args["block_structure"] = {format.group_rows, format.group_size};
  } else if (format.group_size == 0) {
    args["strategy"] = "channel";
  } else {
    args["strategy"] = format.scale == ScaleType::kE4m3 ? "tensor_group" : "group";
    args["group_size"] = format.group_size;
  }
  if (format.scale == ScaleType::kE4m3) args["scale_dtype"] = "torch.float8_e4m3fn";
  if (format.scale == ScaleType::kE8m0) args["scale_dtype"] = "torch.uint8";
  return args;
}

std::vector<uint8_t> bytes_of(const void* values, size_t size) {
  const auto* first = static_cast<const uint8_t*>(values);
  return {first, first + size};
}

uint32_t bits_at(const std::vector<uint8_t>& stream, int64_t first_bit, int64_t bits) {
  uint32_t word = stream[static_cast<size_t>(first_bit / 8)];
  if (first_bit % 8 + bits > 8)
    word |= uint32_t{stream[static_cast<size_t>(first_bit / 8 + 1)]} << 8;
  return word >> (first_bit % 8) & ((1U << bits) - 1);
}

void or_bits(std::vector<uint8_t>& stream, int64_t first_bit, int64_t bits, uint32_t code) {
  const uint32_t word = code << (first_bit % 8);
  stream[static_cast<size_t>(first_bit / 8)] |= static_cast<uint8_t>(word);
  if (first_bit % 8 + bits > 8)
    stream[static_cast<size_t>(first_bit / 8 + 1)] |= static_cast<uint8_t>(word >> 8);
}

// Symmetric codes are two's complement in a packed matrix and offset by half their range in
// pack-quantized: the top bit differs.
uint32_t top_bit(const WeightFormat& format) {
  return format.asymmetric ? 0 : 1U << (format.bits - 1);
}

int64_t row_words(int64_t k, int64_t bits) {
  return (k * bits + 31) / 32;
}

std::vector<uint8_t> words_of_codes(const PackedRows& packed) {
  const int64_t bits = packed.format.bits;
  const int64_t row_bits = row_words(packed.k, bits) * 32;
  std::vector<uint8_t> words(static_cast<size_t>(packed.rows * row_bits / 8));
  const uint32_t flip = top_bit(packed.format);
  for (int64_t row = 0; row < packed.rows; ++row)
    for (int64_t i = 0; i < packed.k; ++i)
      or_bits(words, row * row_bits + i * bits, bits,
              bits_at(packed.payload, (row * packed.k + i) * bits, bits) ^ flip);
  return words;
}

void codes_of_words(const std::vector<uint8_t>& words, PackedRows& packed) {
  const int64_t bits = packed.format.bits;
  const int64_t row_bits = row_words(packed.k, bits) * 32;
  const uint32_t flip = top_bit(packed.format);
  packed.payload.assign(static_cast<size_t>((packed.rows * packed.k * bits + 7) / 8), 0);
  for (int64_t row = 0; row < packed.rows; ++row)
    for (int64_t i = 0; i < packed.k; ++i)
      or_bits(packed.payload, (row * packed.k + i) * bits, bits,
              bits_at(words, row * row_bits + i * bits, bits) ^ flip);
}

bool packs_zeros(const PackedLayout& layout, const WeightFormat& format) {
  return layout.format == "pack-quantized" && format.group_rows == 1;
}

// (words, groups) of I32: word w of group g has rows above one another.
std::vector<uint8_t> words_of_zeros(const PackedRows& packed, int64_t groups) {
  const int64_t bits = packed.format.bits;
  const int64_t words = row_words(packed.rows, bits);
  std::vector<uint8_t> out(static_cast<size_t>(words * groups * 4));
  std::vector<uint8_t> column(static_cast<size_t>(words * 4));
  for (int64_t g = 0; g < groups; ++g) {
    std::ranges::fill(column, uint8_t{0});
    for (int64_t row = 0; row < packed.rows; ++row)
      or_bits(column, row * bits, bits, packed.zeros[static_cast<size_t>(row * groups + g)]);
    for (int64_t w = 0; w < words; ++w)
      std::memcpy(out.data() + 4 * (w * groups + g), column.data() + 4 * w, 4);
  }
  return out;
}

void zeros_of_words(const std::vector<uint8_t>& words, int64_t groups, PackedRows& packed) {
  const int64_t bits = packed.format.bits;
  const int64_t count = row_words(packed.rows, bits);
  packed.zeros.resize(static_cast<size_t>(packed.rows * groups));
  std::vector<uint8_t> column(static_cast<size_t>(count * 4));
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t w = 0; w < count; ++w)
      std::memcpy(column.data() + 4 * w, words.data() + 4 * (w * groups + g), 4);
    for (int64_t row = 0; row < packed.rows; ++row)
      packed.zeros[static_cast<size_t>(row * groups + g)] =
          static_cast<uint8_t>(bits_at(column, row * bits, bits));
  }
}

std::vector<int64_t> scale_dims(const WeightFormat& format, int64_t rows, int64_t k) {
  if (format.group_rows == 0) return {1};
  return {formats::num_row_groups(format, rows), formats::num_groups(format, k)};
}

std::string scale_dtype(const WeightFormat& format) {
  switch (format.scale) {
    case ScaleType::kFp32:
      return "F32";
    case ScaleType::kE8m0:
      return "U8";
    case ScaleType::kE4m3:
      return "F8_E4M3";
    default:
      return "F16";
  }
}

// Codes of whole bytes a row, or of eight bits, need no change but that of asymmetric INT8, which
// is stored less 128.
void shift_bytes(std::vector<uint8_t>& bytes, const WeightFormat& format) {
  if (!format.asymmetric) return;
  for (uint8_t& byte : bytes) byte ^= 0x80;
}

// Zero points are stored less half the range of codes.
void shift_zeros(std::vector<uint8_t>& zeros, const WeightFormat& format, int direction) {
  const int half = 1 << (format.bits - 1);
  for (uint8_t& zero : zeros) zero = static_cast<uint8_t>(zero + direction * half);
}

}  // namespace

Result<PackedLayout> packed_layout(const ModelTensor& tensor) {
  DOVETAIL_CHECK(tensor.is_treated());
  const WeightFormat& format = tensor.treatment->weight;
  const std::string where = fmt::format("{}: {} of {}", tensor.site, formats::format_name(format),
                                        module_of(tensor.name));
  if (const std::string reason = inexpressible(format); !reason.empty()) {
    return invalid_argument(
        fmt::format("{}: compressed-tensors has no {}; what it has is {}, or bf16 for this site",
                    where, reason, nearest_expressible(format)));
  }
  const bool whole_groups =
      format.group_rows != 1 || format.group_size == 0 || tensor.cols % format.group_size == 0;
  if (!whole_groups) {
    return invalid_argument(fmt::format(
        "{}: compressed-tensors wants groups that divide the row, {} does not divide {}; {} does",
        where, format.group_size, tensor.cols, dividing_format(format, tensor.cols)));
  }
  return PackedLayout{.format = stored_as(format, tensor.treatment->activation),
                      .weights = weight_args(format)};
}

Json activation_args(formats::ActivationFormat format) {
  if (format == formats::ActivationFormat::kBf16) return nullptr;
  return Json{{"num_bits", 8},
              {"type", format == formats::ActivationFormat::kInt8Token ? "int" : "float"},
              {"symmetric", true},
              {"strategy", "token"},
              {"dynamic", true}};
}

std::vector<PackedPart> to_parts(const PackedLayout& layout, const PackedRows& packed) {
  const WeightFormat& format = packed.format;
  std::vector<PackedPart> parts;
  if (layout.format == "pack-quantized") {
    parts.push_back({"weight_packed",
                     "I32",
                     {packed.rows, row_words(packed.k, format.bits)},
                     words_of_codes(packed)});
    const int64_t shape[2] = {packed.rows, packed.k};
    parts.push_back({"weight_shape", "I64", {2}, bytes_of(shape, sizeof(shape))});
  } else if (layout.format.ends_with("pack-quantized")) {
    parts.push_back(
        {"weight_packed", "U8", {packed.rows, packed.k * format.bits / 8}, packed.payload});
  } else {
    std::vector<uint8_t> codes = packed.payload;
    if (format.element == Element::kInt) shift_bytes(codes, format);
    parts.push_back({"weight",
                     format.element == Element::kInt ? "I8" : "F8_E4M3",
                     {packed.rows, packed.k},
                     std::move(codes)});
  }
  const std::vector<int64_t> dims = scale_dims(format, packed.rows, packed.k);
  parts.push_back({"weight_scale", scale_dtype(format), dims, packed.scales});
  if (format.scale == ScaleType::kE4m3) {
    const float inverse = 1 / packed.tensor_scale;
    parts.push_back({"weight_global_scale", "F32", {1}, bytes_of(&inverse, sizeof(inverse))});
  }
  if (!format.asymmetric) return parts;
  const int64_t groups = dims.back();
  if (packs_zeros(layout, format)) {
    parts.push_back({"weight_zero_point",
                     "I32",
                     {row_words(packed.rows, format.bits), groups},
                     words_of_zeros(packed, groups)});
  } else {
    std::vector<uint8_t> zeros = packed.zeros;
    shift_zeros(zeros, format, -1);
    parts.push_back({"weight_zero_point", "I8", dims, std::move(zeros)});
  }
  return parts;
}

Result<PackedRows> from_parts(const PackedLayout& layout, const WeightFormat& format, int64_t rows,
                              int64_t k, float tensor_scale, const FindPart& find) {
  PackedRows packed{.format = format, .rows = rows, .k = k, .tensor_scale = tensor_scale};
  const auto take = [&](const std::string& suffix,
                        int64_t size) -> Result<const std::vector<uint8_t>*> {
    const std::vector<uint8_t>* bytes = find(suffix);
    if (bytes == nullptr) return invalid_argument(suffix + " is missing");
    if (std::ssize(*bytes) == size) return bytes;
    return invalid_argument(fmt::format("{} has {} bytes, want {}", suffix, bytes->size(), size));
  };
  if (layout.format == "pack-quantized") {
    DOVETAIL_TRY(const auto* words, take("weight_packed", rows * row_words(k, format.bits) * 4));
    codes_of_words(*words, packed);
  } else if (layout.format.ends_with("pack-quantized")) {
    DOVETAIL_TRY(const auto* codes, take("weight_packed", rows * (k * format.bits / 8)));
    packed.payload = *codes;
  } else {
    DOVETAIL_TRY(const auto* codes, take("weight", rows * k));
    packed.payload = *codes;
    if (format.element == Element::kInt) shift_bytes(packed.payload, format);
  }
  const int64_t row_groups = formats::num_row_groups(format, rows);
  const int64_t groups = formats::num_groups(format, k);
  DOVETAIL_TRY(const auto* scales,
               take("weight_scale", row_groups * groups * formats::scale_bits(format) / 8));
  packed.scales = *scales;
  if (!format.asymmetric) return packed;
  if (packs_zeros(layout, format)) {
    DOVETAIL_TRY(const auto* words,
                 take("weight_zero_point", row_words(rows, format.bits) * groups * 4));
    zeros_of_words(*words, groups, packed);
  } else {
    DOVETAIL_TRY(const auto* zeros, take("weight_zero_point", row_groups * groups));
    packed.zeros = *zeros;
    shift_zeros(packed.zeros, format, 1);
  }
  return packed;
}

}  // namespace dovetail::checkpoint
