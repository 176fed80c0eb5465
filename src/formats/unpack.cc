#include "formats/unpack.h"

#include <algorithm>
#include <cstring>

#include "formats/code_lanes.h"
#include "formats/element.h"
#include "formats/int_range.h"
#include "formats/lanes.h"
#include "formats/row_blocks.h"

namespace dovetail::formats {
namespace {

constexpr int64_t kTritsPerByte = 5;

// Below, values wait in the caches for whoever asked for them.
constexpr int64_t kStreamedBytes = int64_t{64} << 20;

bool is_byte_integer(const WeightFormat& format) {
  return format.element == Element::kInt && format.bits == 8;
}

// In units of the scale, zero point not taken off.
float value_of(const WeightFormat& format, const Levels& levels, uint32_t code) {
  if (is_float(format.element)) return decode_float(format.element, static_cast<uint8_t>(code));
  if (has_levels(format)) return levels[code];
  const auto half = int32_t{1} << (format.bits - 1);
  const auto number = static_cast<int32_t>(code);
  return static_cast<float>(format.asymmetric ? number : (number ^ half) - half);
}

std::vector<float> table_of_trits() {
  std::vector<float> table;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t rest = byte;
    for (int64_t i = 0; i < kTritsPerByte; ++i, rest /= 3)
      table.push_back(static_cast<float>(rest % 3) - 1);
  }
  return table;
}

// One value a code; those of narrow codes repeat up to four bits.
std::vector<float> table_of_codes(const WeightFormat& format, const Levels& levels) {
  const size_t codes = size_t{1} << format.bits;
  std::vector<float> table;
  for (size_t code = 0; code < std::max(codes, kNarrowCodes); ++code)
    table.push_back(value_of(format, levels, static_cast<uint32_t>(code % codes)));
  return table;
}

// Scales of one byte, before the outer scale; none for wider ones.
std::vector<float> table_of_scales(const WeightFormat& format) {
  std::vector<float> table;
  if (scale_bits(format) != 8) return table;
  for (uint32_t code = 0; code < 256; ++code) {
    const auto byte = static_cast<uint8_t>(code);
    table.push_back(format.scale == ScaleType::kE8m0   ? decode_e8m0(byte) * scale_unit(format)
                    : format.scale == ScaleType::kE4m3 ? decode_fp8_e4m3fn(byte)
                                                       : static_cast<float>(code));
  }
  return table;
}

void read_trits(const uint8_t* bytes, const float* table, int64_t count, float* out) {
  constexpr size_t kBytes = kTritsPerByte * sizeof(float);
  const int64_t whole = count / kTritsPerByte;
  for (int64_t i = 0; i < whole; ++i)
    std::memcpy(out + i * kTritsPerByte, table + int64_t{bytes[i]} * kTritsPerByte, kBytes);
  if (whole * kTritsPerByte < count)
    std::memcpy(out + whole * kTritsPerByte, table + int64_t{bytes[whole]} * kTritsPerByte,
                static_cast<size_t>(count - whole * kTritsPerByte) * sizeof(float));
}

template <typename Integer>
void read_integers(const uint8_t* bytes, int64_t count, float scale, float zero, float* out) {
  for (int64_t i = 0; i < count; ++i)
    out[i] = (static_cast<float>(static_cast<Integer>(bytes[i])) - zero) * scale;
}

// kInt of eight bits.
void read_integers(const WeightFormat& format, const uint8_t* bytes, int64_t count, float scale,
                   float zero, float* out) {
  if (format.asymmetric) return read_integers<uint8_t>(bytes, count, scale, zero, out);
  read_integers<int8_t>(bytes, count, scale, zero, out);
}

void read_bytes(const WeightFormat& format, const uint8_t* bytes, const float* table, int64_t count,
                float* out) {
  if (is_byte_integer(format)) return read_integers(format, bytes, count, 1, 0, out);
  for (int64_t i = 0; i < count; ++i) out[i] = table[bytes[i]];
}

// Codes of up to four bits from a whole byte on. end: of the payload, which is not read beyond.
[[gnu::always_inline]] inline void read_narrow(const NarrowCodes& codes, const CodeTable& table,
                                               const uint8_t* bytes, const uint8_t* end,
                                               int64_t count, float* out) {
  for (; count >= kLanes && end - bytes >= 8; count -= kLanes, out += kLanes) {
    uint64_t word = 0;
    std::memcpy(&word, bytes, 8);
    store(table.pick(codes.spread(word)), out);
    bytes += codes.bytes_per_step();
  }
  for (; count > 0; count -= kLanes, out += kLanes) {
    uint64_t word = 0;
    std::memcpy(&word, bytes, static_cast<size_t>(std::min<int64_t>(8, end - bytes)));
    store_first(table.pick(codes.spread(word)), out, std::min(count, kLanes));
    bytes += codes.bytes_per_step();
  }
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

void stream_values(const float* from, int64_t count, float* to) {
  int64_t i = 0;
  for (; i < count && reinterpret_cast<uintptr_t>(to + i) % kLaneBytes != 0; ++i) to[i] = from[i];
  for (; i + kLanes <= count; i += kLanes) stream(load(from + i), to + i);
  for (; i < count; ++i) to[i] = from[i];
}

}  // namespace

RowUnpacker::RowUnpacker(const PackedRows& packed)
    : packed_(&packed),
      groups_(num_groups(packed.format, packed.k)),
      scale_table_(table_of_scales(packed.format)) {
  if (packed.format.element == Element::kBf16) return;
  table_ = packed.format.element == Element::kTernary
               ? table_of_trits()
               : table_of_codes(packed.format, packed.levels.empty() ? levels_or_none(packed.format)
                                                                     : packed.levels);
}

Result<RowUnpacker> RowUnpacker::make(const PackedRows& packed) {
  DOVETAIL_TRY_STATUS(check_packed(packed));
  return RowUnpacker(packed);
}

int64_t RowUnpacker::first_bit(int64_t row) const {
  return row * payload_bits_per_row(packed_->format, packed_->k);
}

// Whether read_narrow can read a row: registers of codes are whole bytes (not four of three bits).
bool RowUnpacker::is_narrow(int64_t row) const {
  const WeightFormat& format = packed_->format;
  return format.element != Element::kTernary && format.bits <= kNarrowBits &&
         kLanes * format.bits % 8 == 0 && first_bit(row) % 8 == 0;
}

void RowUnpacker::read_codes(int64_t row, int64_t count, float* out) const {
  const PackedRows& packed = *packed_;
  const WeightFormat& format = packed.format;
  const uint8_t* bytes = packed.payload.data() + first_bit(row) / 8;
  if (format.element == Element::kBf16) return read_bf16(bytes, count, out);
  if (format.element == Element::kTernary) return read_trits(bytes, table_.data(), count, out);
  if (format.bits == 8) return read_bytes(format, bytes, table_.data(), count, out);
  if (is_narrow(row))
    return read_narrow(NarrowCodes(format.bits), CodeTable::of(table_.data()), bytes,
                       packed.payload.data() + packed.payload.size(), count, out);
  read_straddling(packed.payload, first_bit(row), format.bits, table_.data(), count, out);
}

// What scales of one byte are multiplied by: see codec.h.
float RowUnpacker::outer_scale(int64_t row) const {
  if (packed_->format.scale == ScaleType::kUint8)
    return decode_fp16(packed_->row_scales[static_cast<size_t>(row)]);
  return packed_->format.scale == ScaleType::kE4m3 ? packed_->tensor_scale : 1.0F;
}

// use(scale, zero, begin, n) for each group of a row; scale_at(group of the matrix).
template <typename ScaleAt, typename Use>
void RowUnpacker::for_groups(int64_t row, const ScaleAt& scale_at, const Use& use) const {
  const WeightFormat& format = packed_->format;
  const int64_t length = format.group_size == 0 ? packed_->k : format.group_size;
  const int64_t height = format.group_rows == 0 ? packed_->rows : format.group_rows;
  const int64_t first = row / height * groups_;
  const uint8_t* zeros = format.asymmetric ? packed_->zeros.data() + first : nullptr;
  for (int64_t g = 0, begin = 0; g < groups_; ++g, begin += length)
    use(scale_at(first + g), zeros == nullptr ? 0.0F : static_cast<float>(zeros[g]), begin,
        std::min(length, packed_->k - begin));
}

template <typename Use>
void RowUnpacker::for_groups(int64_t row, const Use& use) const {
  const uint8_t* stored = packed_->scales.data();
  switch (packed_->format.scale) {
    case ScaleType::kFp16: {
      const auto scale_at = [&](int64_t at) {
        uint16_t bits = 0;
        std::memcpy(&bits, stored + 2 * at, sizeof bits);
        return decode_fp16(bits);
      };
      return for_groups(row, scale_at, use);
    }
    case ScaleType::kFp32: {
      const auto scale_at = [&](int64_t at) {
        float scale = 0;
        std::memcpy(&scale, stored + 4 * at, sizeof scale);
        return scale;
      };
      return for_groups(row, scale_at, use);
    }
    default:
      const float* table = scale_table_.data();
      const float outer = outer_scale(row);
      return for_groups(row, [&](int64_t at) { return table[stored[at]] * outer; }, use);
  }
}

// A group has one table of scaled values, so a value costs no product.
void RowUnpacker::unpack_narrow(int64_t row, float* out) const {
  const int64_t bits = packed_->format.bits;
  const NarrowCodes codes(bits);
  const CodeTable table = CodeTable::of(table_.data());
  const uint8_t* bytes = packed_->payload.data() + first_bit(row) / 8;
  const uint8_t* end = packed_->payload.data() + packed_->payload.size();
  for_groups(row, [&](float scale, float zero, int64_t begin, int64_t n) {
    read_narrow(codes, table.scaled(scale, zero), bytes + begin * bits / 8, end, n, out + begin);
  });
}

void RowUnpacker::unpack_integers(int64_t row, float* out) const {
  const uint8_t* bytes = packed_->payload.data() + row * packed_->k;
  for_groups(row, [&](float scale, float zero, int64_t begin, int64_t n) {
    read_integers(packed_->format, bytes + begin, n, scale, zero, out + begin);
  });
}

void RowUnpacker::apply_scales(int64_t row, float* out) const {
  for_groups(row, [&](float scale, float zero, int64_t begin, int64_t n) {
    scale_group(scale, zero, n, out + begin);
  });
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
  const bool sparse = is_sparse(packed_->format);
  if (!sparse && is_narrow(row)) return unpack_narrow(row, out);
  if (!sparse && is_byte_integer(packed_->format)) return unpack_integers(row, out);
  read_codes(row, kept_per_row(packed_->format, packed_->k), out);
  if (sparse) spread_kept(row, out);
  apply_scales(row, out);
  if (sparse) clear_dropped(row, out);
}

void RowUnpacker::stream(int64_t first, int64_t last, float* out) const {
  std::vector<float> values(static_cast<size_t>(packed_->k));
  for (int64_t row = first; row < last; ++row, out += packed_->k) {
    unpack(row, values.data());
    stream_values(values.data(), packed_->k, out);
  }
  order_streams();
}

Result<std::vector<float>> unpack_rows(const PackedRows& packed) {
  DOVETAIL_TRY(const RowUnpacker unpacker, RowUnpacker::make(packed));
  const int64_t k = packed.k;
  std::vector<float> values(static_cast<size_t>(packed.rows * k));
  const bool streams = packed.rows * k * 4 >= kStreamedBytes;
  for_row_blocks(packed.rows, k, [&](int64_t first, int64_t last) {
    if (streams) return unpacker.stream(first, last, values.data() + first * k);
    for (int64_t row = first; row < last; ++row) unpacker.unpack(row, values.data() + row * k);
  });
  return values;
}

}  // namespace dovetail::formats
