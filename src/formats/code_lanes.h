// Packed codes of up to four bits to values, a register at a time. Private to unpack.cc.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "formats/lanes.h"

namespace dovetail::formats {

inline constexpr int64_t kNarrowBits = 4;
inline constexpr size_t kNarrowCodes = size_t{1} << kNarrowBits;

// The value of each code; those of narrower codes repeat, so that bits above a code do no harm.
struct CodeTable {
  static constexpr size_t kParts = kNarrowCodes / static_cast<size_t>(kLanes);
  std::array<FloatLanes, kParts> part;

  // values: (kNarrowCodes).
  [[nodiscard]] static CodeTable of(const float* values) {
    CodeTable table;
    for (size_t i = 0; i < kParts; ++i)
      table.part[i] = load(values + i * static_cast<size_t>(kLanes));
    return table;
  }
  // (value - zero) * scale of each.
  [[nodiscard, gnu::always_inline]] CodeTable scaled(float scale, float zero) const {
    CodeTable table;
    for (size_t i = 0; i < kParts; ++i) table.part[i] = (part[i] - zero) * broadcast(scale);
    return table;
  }
  // Lane by lane the value of the low four bits.
  [[nodiscard, gnu::always_inline]] FloatLanes pick(BitLanes codes) const {
#if defined(__AVX512F__)
    return _mm512_maskz_permutexvar_ps(0xFFFF, std::bit_cast<__m512i>(codes), part[0]);
#elif defined(__AVX2__)
    const auto lanes = std::bit_cast<__m256i>(codes);
    const auto is_high = std::bit_cast<__m256>(codes << 28);  // the fourth bit as a sign
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(part[0], lanes),
                            _mm256_permutevar8x32_ps(part[1], lanes), is_high);
#else
    FloatLanes values;
    for (int64_t i = 0; i < kLanes; ++i) {
      const uint32_t code = codes[i] % kNarrowCodes;
      values[i] = part[code / kLanes][code % kLanes];
    }
    return values;
#endif
  }
};

// Reads kLanes codes from a whole byte on.
class NarrowCodes {
 public:
  explicit NarrowCodes(int64_t bits)
      : bytes_per_step_(kLanes * bits / 8), up_(static_cast<uint64_t>(32 - bits)) {
    for (int64_t i = 0; i < kLanes / 2; ++i) offsets_[i] = static_cast<uint64_t>(2 * bits * i);
  }
  // The lane's code in its low bits, below others. word: the next eight bytes.
  [[nodiscard, gnu::always_inline]] BitLanes spread(uint64_t word) const {
    const PairLanes even = (word - PairLanes{}) >> offsets_;
    const PairLanes odd = even << up_;
    return (std::bit_cast<BitLanes>(even) & kEvenLanes) |
           (std::bit_cast<BitLanes>(odd) & ~kEvenLanes);
  }

  // Bytes that kLanes codes take.
  [[nodiscard]] int64_t bytes_per_step() const { return bytes_per_step_; }

 private:
  using PairLanes = uint64_t __attribute__((vector_size(kLaneBytes)));
  static constexpr BitLanes kEvenLanes =
      std::bit_cast<BitLanes>(uint64_t{0xFFFFFFFF} - PairLanes{});
  PairLanes offsets_{};
  int64_t bytes_per_step_;
  uint64_t up_;
};

}  // namespace dovetail::formats
