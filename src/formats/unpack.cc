#include "formats/unpack.h"

#include <algorithm>
#include <cstring>

#include "formats/element.h"
#include "formats/int_range.h"
#include "formats/lanes.h"
#include "formats/row_blocks.h"

namespace dovetail::formats {
namespace {

constexpr int64_t kTritsPerByte = 5;

int64_t values_per_byte(const WeightFormat& format) {
  if (format.element == Element::kTernary) return kTritsPerByte;
  return 8 % format.bits == 0 ? 8 / format.bits : 0;
}

// In units of the scale, zero point not taken off.
float value_of(const WeightFormat& format, const Levels& levels, uint32_t code) {
  if (is_float(format.element)) return decode_float(format.element, static_cast<uint8_t>(code));
  if (has_levels(format)) return levels[code];
  const auto half = int32_t{1} << (format.bits - 1);
  const auto number = static_cast<int32_t>(code);
  return static_cast<float>(format.asymmetric ? number : (number ^ half) - half);
}

std::vector<float> make_table(const WeightFormat& format, const Levels& levels) {
  const int64_t per_byte = values_per_byte(format);
  std::vector<float> table;
  if (per_byte == 0) {
    for (uint32_t code = 0; code < 1U << format.bits; ++code)
      table.push_back(value_of(format, levels, code));
    return table;
  }
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t rest = byte;
    for (int64_t i = 0; i < per_byte; ++i) {
      if (format.element == Element::kTernary) {
        table.push_back(static_cast<float>(rest % 3) - 1);
        rest /= 3;
      } else {
        table.push_back(value_of(format, levels, rest & ((1U << format.bits) - 1)));
        rest >>= format.bits;
      }
    }
  }
  return table;
}

// `count` values, kPerByte a byte; the last byte may be used in part.
template <int64_t kPerByte>
void read_whole_bytes(const uint8_t* bytes, const float* table, int64_t count, float* out) {
  const int64_t whole = count / kPerByte;
  for (int64_t i = 0; i < whole; ++i)
    std::memcpy(out + i * kPerByte, table + int64_t{bytes[i]} * kPerByte, kPerByte * sizeof(float));
  if (whole * kPerByte < count)
    std::memcpy(out + whole * kPerByte, table + int64_t{bytes[whole]} * kPerByte,
                static_cast<size_t>(count - whole * kPerByte) * sizeof(float));
}

// Codes of `bits` from any bit of the stream, eight at a time where eight bytes are left to load.
void read_straddling(const std::vector<uint8_t>& stream, int64_t first_bit, int64_t bits,
                     const float* table, int64_t count, float* out) {
  const uint64_t mask = (uint64_t{1} << bits) - 1;
  const auto size = static_cast<int64_t>(stream.size());
  int64_t bit = first_bit;
  const auto load_at = [&](int64_t byte) {
    uint64_t word = 0;
    std::memcpy(&word, stream.data() + byte,
                static_cast<size_t>(std::min<int64_t>(8, size - byte)));
    return word;
  };
  int64_t i = 0;
  for (; i < count && bit % 8 != 0; ++i, bit += bits)
    out[i] = table[load_at(bit / 8) >> (bit % 8) & mask];
  for (; i + 8 <= count; i += 8, bit += 8 * bits) {
    uint64_t word = load_at(bit / 8);
    for (int64_t j = 0; j < 8; ++j, word >>= bits) out[i + j] = table[word & mask];
  }
  for (; i < count; ++i, bit += bits) out[i] = table[load_at(bit / 8) >> (bit % 8) & mask];
}

void read_bf16(const uint8_t* bytes, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) {
    uint16_t code = 0;
    std::memcpy(&code, bytes + 2 * i, sizeof code);
    out[i] = decode_bf16(code);
  }
}

void scale_group(float scale, float zero, int64_t n, float* out) {
  const FloatLanes s = broadcast(scale);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store((load(out + i) - zero) * s, out + i);
  for (; i < n; ++i) out[i] = (out[i] - zero) * scale;
}

}  // namespace

RowUnpacker::RowUnpacker(const PackedRows& packed)
    : packed_(&packed), scales_(unpack_scales(packed)) {
  if (packed.format.element == Element::kBf16) return;
  values_per_byte_ = values_per_byte(packed.format);
  table_ = make_table(packed.format,
                      packed.levels.empty() ? levels_or_none(packed.format) : packed.levels);
}

Result<RowUnpacker> RowUnpacker::make(const PackedRows& packed) {
  DOVETAIL_TRY_STATUS(check_packed(packed));
  return RowUnpacker(packed);
}

void RowUnpacker::read_codes(int64_t row, int64_t count, float* out) const {
  const PackedRows& packed = *packed_;
  const int64_t first_bit = row * payload_bits_per_row(packed.format, packed.k);
  const uint8_t* bytes = packed.payload.data() + first_bit / 8;
  if (packed.format.element == Element::kBf16) return read_bf16(bytes, count, out);
  if (values_per_byte_ > 0 && first_bit % 8 == 0) {
    switch (values_per_byte_) {
      case 1:
        return read_whole_bytes<1>(bytes, table_.data(), count, out);
      case 2:
        return read_whole_bytes<2>(bytes, table_.data(), count, out);
      case 4:
        return read_whole_bytes<4>(bytes, table_.data(), count, out);
      default:
        return read_whole_bytes<kTritsPerByte>(bytes, table_.data(), count, out);
    }
  }
  // An odd row of 2- or 4-bit codes: the table's entry of a byte begins with that of its low code.
  if (values_per_byte_ > 0) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t bit = first_bit + i * packed.format.bits;
      const uint32_t code = packed.payload[static_cast<size_t>(bit / 8)] >> (bit % 8) &
                            ((1U << packed.format.bits) - 1);
      out[i] = table_[static_cast<size_t>(code) * static_cast<size_t>(values_per_byte_)];
    }
    return;
  }
  read_straddling(packed.payload, first_bit, packed.format.bits, table_.data(), count, out);
}

void RowUnpacker::apply_scales(int64_t row, float* out) const {
  const WeightFormat& format = packed_->format;
  if (scales_.groups == 0) return;
  const int64_t length = format.group_size == 0 ? packed_->k : format.group_size;
  const int64_t height = format.group_rows == 0 ? packed_->rows : format.group_rows;
  for (int64_t g = 0; g < scales_.groups; ++g) {
    const auto at = static_cast<size_t>(row / height * scales_.groups + g);
    const float zero = format.asymmetric ? static_cast<float>(scales_.zero[at]) : 0.0F;
    scale_group(scales_.scale[at], zero, std::min(length, packed_->k - g * length),
                out + g * length);
  }
}

// From the kept values at the front of the row to their places, last first.
void RowUnpacker::spread_kept(int64_t row, float* out) const {
  int64_t from = kept_per_row(packed_->format, packed_->k);
  for (int64_t i = packed_->k; i-- > 0;)
    if (is_kept(row, i)) out[i] = out[--from];
}

// Dropped elements are +0 whatever the scale and the zero point of their group.
void RowUnpacker::clear_dropped(int64_t row, float* out) const {
  for (int64_t i = 0; i < packed_->k; ++i)
    if (!is_kept(row, i)) out[i] = 0;
}

bool RowUnpacker::is_kept(int64_t row, int64_t i) const {
  const int64_t bit = row * packed_->k + i;
  return (packed_->mask[static_cast<size_t>(bit / 8)] >> (bit % 8) & 1U) != 0;
}

void RowUnpacker::unpack(int64_t row, float* out) const {
  read_codes(row, kept_per_row(packed_->format, packed_->k), out);
  if (is_sparse(packed_->format)) spread_kept(row, out);
  apply_scales(row, out);
  if (is_sparse(packed_->format)) clear_dropped(row, out);
}

Result<std::vector<float>> unpack_rows(const PackedRows& packed) {
  DOVETAIL_TRY(const RowUnpacker unpacker, RowUnpacker::make(packed));
  std::vector<float> values(static_cast<size_t>(packed.rows * packed.k));
  for_row_blocks(packed.rows, packed.k, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row)
      unpacker.unpack(row, values.data() + row * packed.k);
  });
  return values;
}

}  // namespace dovetail::formats
