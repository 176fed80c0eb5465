#include "formats/pack.h"

#include <algorithm>
#include <cstring>

#include "formats/element_lanes.h"
#include "formats/row_blocks.h"

namespace dovetail::formats {
namespace {

constexpr int64_t kTritsPerByte = 5;

// The low `bits` of eight bytes side by side.
uint64_t joined(uint64_t codes, int64_t bits) {
  const uint64_t mask = 0x0101010101010101U * ((1U << bits) - 1);
#if defined(__BMI2__)
  return _pext_u64(codes, mask);
#else
  uint64_t word = 0;
  for (int64_t i = 0; i < 8; ++i) word |= (codes >> (8 * i) & (mask & 0xFFU)) << (bits * i);
  return word;
#endif
}

// From any bit on; the bits to come are 0.
void join_straddling(const uint8_t* codes, int64_t count, int64_t bits, int64_t bit,
                     uint8_t* stream) {
  for (int64_t i = 0; i < count; ++i, bit += bits) {
    const uint32_t word = (codes[i] & ((1U << bits) - 1)) << (bit % 8);
    stream[bit / 8] |= static_cast<uint8_t>(word);
    if (bit % 8 + bits > 8) stream[bit / 8 + 1] |= static_cast<uint8_t>(word >> 8U);
  }
}

// From a whole byte on.
void join(const uint8_t* codes, int64_t count, int64_t bits, uint8_t* out) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8, out += bits) {
    uint64_t eight = 0;
    std::memcpy(&eight, codes + i, 8);
    const uint64_t word = joined(eight, bits);
    if (i + 16 <= count) {  // the next eight write over what is too much
      std::memcpy(out, &word, bits <= 4 ? 4 : 8);
    } else {
      std::memcpy(out, &word, static_cast<size_t>(bits));
    }
  }
  join_straddling(codes + i, count - i, bits, 0, out);
}

// codes: -1, 0, 1.
void join_trits(const uint8_t* codes, int64_t count, uint8_t* out) {
  for (int64_t i = 0; i < count; i += kTritsPerByte) {
    uint32_t byte = 0;
    uint32_t power = 1;
    for (int64_t j = i; j < std::min(i + kTritsPerByte, count); ++j, power *= 3)
      byte += static_cast<uint8_t>(codes[j] + 1) * power;
    *out++ = static_cast<uint8_t>(byte);
  }
}

// Codes of n values of one group, a byte each; up to kLanes - 1 bytes more are written.
template <typename Element>
void code_group(const Element& element, float scale, uint8_t zero, int64_t n, const float* w,
                uint8_t* codes) {
  const auto lanes_of = [&](FloatLanes lanes) __attribute__((always_inline)) {
    const FloatLanes x = scale == 0 ? FloatLanes{} : lanes / broadcast(scale);
    return __builtin_convertvector(element.code(x) + uint32_t{zero}, ByteLanes);
  };
  for (int64_t i = 0; i < n; i += kLanes) {
    const ByteLanes bytes = lanes_of(i + kLanes <= n ? load(w + i) : load_first(w + i, n - i));
    std::memcpy(codes + i, &bytes, sizeof bytes);
  }
}

class RowPacker {
 public:
  RowPacker(const MatrixScales& scales, PackedRows& packed) : scales_(scales), packed_(packed) {}

  // codes: (k + kLanes), scratch.
  template <typename Element>
  void pack(const Element& element, int64_t row, const float* w, uint8_t* codes) const {
    const WeightFormat& format = packed_.format;
    const int64_t length = format.group_size == 0 ? packed_.k : format.group_size;
    const int64_t height = format.group_rows == 0 ? packed_.rows : format.group_rows;
    for (int64_t g = 0; g < scales_.groups; ++g) {
      const auto at = static_cast<size_t>(row / height * scales_.groups + g);
      const uint8_t zero = format.asymmetric ? scales_.zero[at] : uint8_t{0};
      code_group(shifted_lanes(element, broadcast(zero)), scales_.scale[at], zero,
                 std::min(length, packed_.k - g * length), w + g * length, codes + g * length);
    }
    const int64_t count = is_sparse(format) ? keep(row, w, codes) : packed_.k;
    const int64_t bit = row * payload_bits_per_row(format, packed_.k);
    uint8_t* out = packed_.payload.data() + bit / 8;
    if (format.element == formats::Element::kTernary) return join_trits(codes, count, out);
    if (bit % 8 != 0) return join_straddling(codes, count, format.bits, bit % 8, out);
    join(codes, count, format.bits, out);
  }

 private:
  // Writes the mask of a row and moves the codes that stay to the front; how many.
  int64_t keep(int64_t row, const float* w, uint8_t* codes) const {
    std::vector<uint8_t> kept(static_cast<size_t>(packed_.k));
    mark_kept(packed_.format, packed_.k, nullptr, w, kept.data());
    int64_t count = 0;
    for (int64_t i = 0; i < packed_.k; ++i)
      if (kept[static_cast<size_t>(i)] != 0) codes[count++] = codes[i];
    join_straddling(kept.data(), packed_.k, 1, row * packed_.k, packed_.mask.data());
    return count;
  }

  const MatrixScales& scales_;
  PackedRows& packed_;
};

std::vector<uint8_t> scale_bytes(const WeightFormat& format, const std::vector<uint32_t>& stored) {
  const auto size = static_cast<size_t>(scale_bits(format) / 8);
  std::vector<uint8_t> bytes(stored.size() * size);
  for (size_t i = 0; i < stored.size(); ++i)
    std::memcpy(bytes.data() + i * size, &stored[i], size);  // little-endian
  return bytes;
}

void pack_bf16(int64_t count, const float* w, uint8_t* out) {
  for (int64_t i = 0; i < count; ++i) {
    const uint16_t code = encode_bf16(w[i]);
    std::memcpy(out + 2 * i, &code, sizeof code);
  }
}

}  // namespace

PackedRows pack_rows(const WeightFormat& format, Ties ties, const MatrixScales& scales,
                     int64_t rows, int64_t k, const float* w) {
  DOVETAIL_CHECK(rows >= 0 && k >= 0 && (k == 0 || rows <= kMaxPackedElements / k));
  PackedRows packed{.format = format,
                    .rows = rows,
                    .k = k,
                    .scales = scale_bytes(format, scales.stored),
                    .zeros = scales.zero,
                    .row_scales = scales.row_scale,
                    .tensor_scale = scales.tensor_scale,
                    .levels = scales.levels};
  const int64_t row_bits = payload_bits_per_row(format, k);
  packed.payload.resize(static_cast<size_t>((rows * row_bits + 7) / 8));
  packed.mask.resize(is_sparse(format) ? static_cast<size_t>((rows * k + 7) / 8) : 0);
  if (format.element == Element::kBf16) {
    pack_bf16(rows * k, w, packed.payload.data());
    return packed;
  }
  const RowPacker packer(scales, packed);
  const Levels& levels = scales.levels.empty() ? levels_or_none(format) : scales.levels;
  with_element(format, ties, levels, [&](const auto& element) {
    const auto pack_block = [&](int64_t first, int64_t last) {
      std::vector<uint8_t> codes(static_cast<size_t>(k + kLanes));
      for (int64_t row = first; row < last; ++row)
        packer.pack(element, row, w + row * k, codes.data());
    };
    // Rows that share a byte must not be written by two threads.
    const bool whole_bytes = row_bits % 8 == 0 && (!is_sparse(format) || k % 8 == 0);
    whole_bytes ? for_row_blocks(rows, k, pack_block) : pack_block(0, rows);
  });
  return packed;
}

}  // namespace dovetail::formats
