#include "checkpoint/gguf_blocks.h"

#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "formats/element.h"

namespace dovetail::checkpoint {
namespace {

using formats::Element;
using formats::PackedRows;
using formats::ScaleType;
using formats::WeightFormat;
using model::TensorType;

constexpr int64_t kBlock = 32;

uint32_t code_at(const PackedRows& packed, int64_t element) {
  const int64_t bits = packed.format.bits;
  uint32_t code = 0;
  for (int64_t bit = element * bits; bit < (element + 1) * bits; ++bit)
    code |= (packed.payload[static_cast<size_t>(bit / 8)] >> (bit % 8) & 1U)
            << (bit - element * bits);
  return code;
}

void set_code(PackedRows& packed, int64_t element, uint32_t code) {
  const int64_t bits = packed.format.bits;
  for (int64_t i = 0; i < bits; ++i) {
    const int64_t bit = element * bits + i;
    if ((code >> i & 1U) != 0)
      packed.payload[static_cast<size_t>(bit / 8)] |= static_cast<uint8_t>(1U << (bit % 8));
  }
}

// The group of block `block` of row `row`.
size_t group_at(const WeightFormat& format, int64_t rows, int64_t k, int64_t row, int64_t block) {
  const int64_t height = format.group_rows == 0 ? rows : format.group_rows;
  const int64_t length = format.group_size == 0 ? k : format.group_size;
  return static_cast<size_t>(row / height * formats::num_groups(format, k) +
                             block * kBlock / length);
}

uint16_t half_at(const std::vector<uint8_t>& scales, size_t group) {
  uint16_t half = 0;
  std::memcpy(&half, scales.data() + 2 * group, 2);
  return half;
}

// Numbers 0..2^bits - 1 of 32 elements behind the scales of a block. 4 and 5 bits: low nibbles are
// elements 0..15; the fifth bits stand before them. 8 bits: as they are.
void put_numbers(const uint32_t (&numbers)[kBlock], int64_t bits, uint8_t* out) {
  if (bits == 8) {
    for (int64_t i = 0; i < kBlock; ++i) out[i] = static_cast<uint8_t>(numbers[i]);
    return;
  }
  if (bits == 5) {
    uint32_t top = 0;
    for (int64_t i = 0; i < kBlock; ++i) top |= (numbers[i] >> 4) << i;
    std::memcpy(out, &top, 4);
    out += 4;
  }
  for (int64_t i = 0; i < kBlock / 2; ++i)
    out[i] = static_cast<uint8_t>((numbers[i] & 15) | (numbers[i + kBlock / 2] & 15) << 4);
}

void get_numbers(const uint8_t* in, int64_t bits, uint32_t (&numbers)[kBlock]) {
  if (bits == 8) {
    for (int64_t i = 0; i < kBlock; ++i) numbers[i] = in[i];
    return;
  }
  uint32_t top = 0;
  if (bits == 5) {
    std::memcpy(&top, in, 4);
    in += 4;
  }
  for (int64_t i = 0; i < kBlock / 2; ++i) {
    numbers[i] = (in[i] & 15U) | (top >> i & 1U) << 4;
    numbers[i + kBlock / 2] = (uint32_t{in[i]} >> 4) | (top >> (i + kBlock / 2) & 1U) << 4;
  }
}

// Codes to the numbers of a block: symmetric INT4 and INT5 are stored plus half their range.
uint32_t flipped_bit(const WeightFormat& format) {
  const bool offset = format.element == Element::kInt && !format.asymmetric && format.bits < 8;
  return offset ? 1U << (format.bits - 1) : 0;
}

std::string choices(const WeightFormat& format) {
  WeightFormat near = format;
  near.kept = near.of = 0;
  near.group_rows = 1;
  near.group_size = 32;
  near.element = Element::kInt;
  near.scale = ScaleType::kFp16;
  near.bits = format.bits <= 4 ? 4 : format.bits == 5 ? 5 : 8;
  if (near.bits == 8) near.asymmetric = false;
  return formats::format_name(near);
}

int64_t scale_size(TensorType type) {
  if (type == TensorType::kMxfp4) return 1;
  return type == TensorType::kQ4_1 || type == TensorType::kQ5_1 ? 4 : 2;
}

Status put_scales(const PackedRows& packed, TensorType type, size_t group, const std::string& where,
                  uint8_t* out) {
  if (type == TensorType::kMxfp4) {
    *out = packed.scales[group];
    return {};
  }
  const uint16_t scale = half_at(packed.scales, group);
  std::memcpy(out, &scale, 2);
  if (!packed.format.asymmetric) return {};
  const float minimum = 0 - static_cast<float>(packed.zeros[group]) * formats::decode_fp16(scale);
  const uint16_t half = formats::encode_fp16(minimum);
  if (formats::decode_fp16(half) != minimum) {
    return invalid_argument(fmt::format(
        "{}: zero point {} times scale {} is no FP16 number, which {} stores; the GGUF type q4_1 "
        "(encoded from the values), q4_k or {} can be written",
        where, packed.zeros[group], formats::decode_fp16(scale), model::facts_of(type).name,
        formats::format_name(formats::int_format(packed.format.bits, false, 32))));
  }
  std::memcpy(out + 2, &half, 2);
  return {};
}

// Sets or compares the scale and zero point of a group.
Status get_scales(PackedRows& packed, TensorType type, size_t group, bool is_first,
                  const std::string& where, const uint8_t* in) {
  uint8_t bytes[2] = {in[0], 0};
  const size_t size = type == TensorType::kMxfp4 ? 1 : 2;
  if (size == 2) bytes[1] = in[1];
  uint8_t zero = 0;
  if (packed.format.asymmetric) {
    uint16_t scale = 0;
    uint16_t minimum = 0;
    std::memcpy(&scale, in, 2);
    std::memcpy(&minimum, in + 2, 2);
    const float step = formats::decode_fp16(scale);
    const float number = step == 0 ? 0 : 0 - formats::decode_fp16(minimum) / step;
    const auto top = static_cast<float>((1 << packed.format.bits) - 1);
    if (!(number >= 0 && number <= top) || number != std::floor(number)) {
      return invalid_argument(fmt::format("{}: a minimum of {} scales, want a zero point of 0..{}",
                                          where, number, top));
    }
    zero = static_cast<uint8_t>(number);
  }
  uint8_t* stored = packed.scales.data() + size * group;
  if (is_first) {
    std::memcpy(stored, bytes, size);
    if (packed.format.asymmetric) packed.zeros[group] = zero;
    return {};
  }
  const bool equal = std::memcmp(stored, bytes, size) == 0 &&
                     (!packed.format.asymmetric || packed.zeros[group] == zero);
  if (equal) return {};
  return invalid_argument(where + ": blocks of one group have different scales");
}

}  // namespace

Result<TensorType> gguf_type_of(const WeightFormat& format, int64_t k, const std::string& where) {
  const std::string name = formats::format_name(format);
  const bool is_int = format.element == Element::kInt && format.scale == ScaleType::kFp16;
  const bool is_mxfp4 = format.element == Element::kFp4E2m1 && format.scale == ScaleType::kE8m0;
  const bool has_bits = is_mxfp4 || (is_int && (format.bits == 4 || format.bits == 5 ||
                                                (format.bits == 8 && !format.asymmetric)));
  if (formats::is_sparse(format) || !has_bits) {
    return invalid_argument(fmt::format(
        "{}: no GGUF type is {}; {} is one, and mxfp4; the GGUF types q4_k and q6_k are encoded "
        "from values",
        where, name, choices(format)));
  }
  if (format.group_size % kBlock != 0 || k % kBlock != 0) {
    return invalid_argument(fmt::format(
        "{}: GGUF blocks are 32 long, {} with rows of {} has groups that are no whole blocks; {}",
        where, name, k,
        k % kBlock == 0 ? choices(format) + " has" : "F16 can be written instead (bf16 site)"));
  }
  if (is_mxfp4) return TensorType::kMxfp4;
  if (format.bits == 8) return TensorType::kQ8_0;
  if (format.bits == 5) return format.asymmetric ? TensorType::kQ5_1 : TensorType::kQ5_0;
  return format.asymmetric ? TensorType::kQ4_1 : TensorType::kQ4_0;
}

PackedRows without_negative_zeros(PackedRows packed) {
  if (packed.format.element != Element::kFp4E2m1) return packed;
  for (uint8_t& byte : packed.payload) {
    if ((byte & 0x0F) == 0x08) byte &= 0xF0;
    if ((byte & 0xF0) == 0x80) byte &= 0x0F;
  }
  return packed;
}

Result<std::vector<uint8_t>> to_blocks(const PackedRows& packed, const std::string& where) {
  DOVETAIL_TRY(const TensorType type, gguf_type_of(packed.format, packed.k, where));
  const int64_t block_bytes = model::facts_of(type).block_bytes;
  const int64_t row_blocks = packed.k / kBlock;
  std::vector<uint8_t> out(static_cast<size_t>(packed.rows * row_blocks * block_bytes));
  const uint32_t flip = flipped_bit(packed.format);
  uint8_t* block = out.data();
  for (int64_t row = 0; row < packed.rows; ++row) {
    for (int64_t b = 0; b < row_blocks; ++b, block += block_bytes) {
      const size_t group = group_at(packed.format, packed.rows, packed.k, row, b);
      DOVETAIL_TRY_STATUS(put_scales(packed, type, group, where, block));
      uint32_t numbers[kBlock];
      for (int64_t i = 0; i < kBlock; ++i)
        numbers[i] = code_at(packed, row * packed.k + b * kBlock + i) ^ flip;
      put_numbers(numbers, packed.format.bits, block + scale_size(type));
    }
  }
  return out;
}

Result<PackedRows> from_blocks(const WeightFormat& format, int64_t rows, int64_t k,
                               std::span<const uint8_t> blocks, const std::string& where) {
  DOVETAIL_TRY(const TensorType type, gguf_type_of(format, k, where));
  const int64_t block_bytes = model::facts_of(type).block_bytes;
  const int64_t row_blocks = k / kBlock;
  if (std::ssize(blocks) != rows * row_blocks * block_bytes) {
    return invalid_argument(fmt::format("{}: {} bytes, want {}", where, blocks.size(),
                                        rows * row_blocks * block_bytes));
  }
  PackedRows packed{.format = format, .rows = rows, .k = k};
  const int64_t groups = formats::num_row_groups(format, rows) * formats::num_groups(format, k);
  packed.payload.resize(static_cast<size_t>((rows * k * format.bits + 7) / 8));
  packed.scales.resize(static_cast<size_t>(groups * formats::scale_bits(format) / 8));
  if (format.asymmetric) packed.zeros.resize(static_cast<size_t>(groups));
  std::vector<bool> seen(static_cast<size_t>(groups));
  const uint32_t flip = flipped_bit(format);
  const uint8_t* block = blocks.data();
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t b = 0; b < row_blocks; ++b, block += block_bytes) {
      const size_t group = group_at(format, rows, k, row, b);
      DOVETAIL_TRY_STATUS(get_scales(packed, type, group, !seen[group], where, block));
      seen[group] = true;
      uint32_t numbers[kBlock];
      get_numbers(block + scale_size(type), format.bits, numbers);
      for (int64_t i = 0; i < kBlock; ++i)
        set_code(packed, row * k + b * kBlock + i, numbers[i] ^ flip);
    }
  }
  return packed;
}

}  // namespace dovetail::checkpoint
