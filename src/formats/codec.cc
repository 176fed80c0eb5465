#include "formats/codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>

#include <fmt/format.h>

#include "base/parallel.h"
#include "formats/element.h"

namespace dovetail::formats {
namespace {

constexpr int32_t kE2m1Emax = 2;  // 6 = 1.5 * 2^2
// Rows of one parallel step: a multiple of 8, so that each step starts on a whole byte.
constexpr int64_t kRowsPerStep = 8;

// One group's scale as the decoder sees it, the zero point, and the scale as it is stored.
struct GroupScale {
  float scale = 0;
  int32_t zero = 0;
  uint32_t stored = 0;
};

struct Range {
  float min = 0;  // <= 0
  float max = 0;  // >= 0
  float absmax() const { return std::max(-min, max); }
};

Range range_of(std::span<const float> group) {
  Range range;
  for (const float w : group) {
    range.min = std::min(range.min, w);
    range.max = std::max(range.max, w);
  }
  return range;
}

int32_t low_code(const WeightFormat& format) {
  return format.asymmetric ? 0 : -(1 << (format.bits - 1));
}
int32_t high_code(const WeightFormat& format) {
  return format.asymmetric ? (1 << format.bits) - 1 : (1 << (format.bits - 1)) - 1;
}

GroupScale int_scale(const WeightFormat& format, const Range& range, float factor, bool negative) {
  const float span = format.asymmetric ? range.max - range.min : range.absmax();
  const float wanted = span / static_cast<float>(high_code(format)) * factor;
  const uint16_t stored = encode_fp16(std::clamp(wanted, kFp16Min, kFp16Max));
  GroupScale made{.scale = decode_fp16(stored), .stored = stored};
  if (format.asymmetric) {
    const float zero = std::nearbyint(-range.min * factor * (1.0F / made.scale));
    made.zero = static_cast<int32_t>(std::clamp(zero, 0.0F, static_cast<float>(high_code(format))));
  } else if (negative) {
    made.scale = -made.scale;
    made.stored |= 0x8000U;
  }
  return made;
}

GroupScale mxfp4_scale(const Range& range, int32_t step) {
  const int32_t code =
      std::clamp(e8m0_floor_scale(range.absmax(), kE2m1Emax) + step, 0, kE8m0NanCode - 1);
  const auto stored = static_cast<uint8_t>(code);
  return {.scale = decode_e8m0(stored), .stored = stored};
}

GroupScale nvfp4_scale(const Range& range, float tensor, int32_t step) {
  const int32_t nearest = encode_fp8_e4m3fn(range.absmax() / kE2m1Max / tensor);
  const int32_t code = std::clamp<int32_t>(std::max(nearest, 1) + step, 1, kE4m3LargestCode);
  const auto stored = static_cast<uint8_t>(code);
  return {.scale = decode_fp8_e4m3fn(stored) * tensor, .stored = stored};
}

GroupScale fp8_scale(const Range& range, float factor) {
  const float scale = std::max(range.absmax() / kFp8E4m3FnMax, 0x1p-126F) * factor;
  return {.scale = scale, .stored = std::bit_cast<uint32_t>(scale)};
}

// Candidates in the order of scale_rule.h; the first is kAbsmax. `range` is not of zeros.
std::vector<GroupScale> candidate_scales(const WeightFormat& format, ScaleRule rule,
                                         const Range& range, float tensor) {
  const bool negative = rule == ScaleRule::kMse && range.max > -range.min;
  std::vector<GroupScale> candidates;
  for (const float factor : scale_factors(format))
    candidates.push_back(format.family == WeightFamily::kInt
                             ? int_scale(format, range, factor, negative && !candidates.empty())
                             : fp8_scale(range, factor));
  for (const int32_t step : scale_code_steps(format))
    candidates.push_back(format.family == WeightFamily::kMxfp4 ? mxfp4_scale(range, step)
                                                               : nvfp4_scale(range, tensor, step));
  if (rule == ScaleRule::kAbsmax) candidates.resize(1);
  return candidates;
}

// x to the nearest code; the order of comparisons sends NaN to the lowest code.
int32_t int_code(const WeightFormat& format, float x, int32_t zero) {
  const auto low = static_cast<float>(low_code(format) - zero);
  const auto high = static_cast<float>(high_code(format) - zero);
  if (!(x > low)) return low_code(format);
  if (x >= high) return high_code(format);
  return static_cast<int32_t>(std::nearbyint(x)) + zero;
}

// The code of x as stored, in the low `bits` bits.
uint32_t encode_element(const WeightFormat& format, float x, int32_t zero) {
  switch (format.family) {
    case WeightFamily::kInt:
      return static_cast<uint32_t>(int_code(format, x, zero)) & ((1U << format.bits) - 1);
    case WeightFamily::kFp8E4m3Fn:
      return encode_fp8_e4m3fn(x);
    case WeightFamily::kMxfp4:
    case WeightFamily::kNvfp4:
      return encode_e2m1(x);
    case WeightFamily::kBf16:
      return encode_bf16(x);
  }
  return 0;
}

// The value of a code in units of the scale.
float decode_element(const WeightFormat& format, uint32_t code, int32_t zero) {
  switch (format.family) {
    case WeightFamily::kInt: {
      const bool below_zero = !format.asymmetric && (code >> (format.bits - 1)) != 0;
      return static_cast<float>(static_cast<int32_t>(code) - (below_zero ? 1 << format.bits : 0) -
                                zero);
    }
    case WeightFamily::kFp8E4m3Fn:
      return decode_fp8_e4m3fn(static_cast<uint8_t>(code));
    case WeightFamily::kMxfp4:
    case WeightFamily::kNvfp4:
      return decode_e2m1(static_cast<uint8_t>(code));
    case WeightFamily::kBf16:
      return decode_bf16(static_cast<uint16_t>(code));
  }
  return 0;
}

// Squared error of a group in FP32, elements in ascending order, with x = w * (1 / s).
float squared_error(const WeightFormat& format, const GroupScale& candidate,
                    std::span<const float> group) {
  const float inverse = 1.0F / candidate.scale;
  float sum = 0;
  for (const float w : group) {
    const float x = w * inverse;
    const float error =
        x - decode_element(format, encode_element(format, x, candidate.zero), candidate.zero);
    sum += error * error;
  }
  return sum * candidate.scale * candidate.scale;
}

GroupScale choose_scale(const WeightFormat& format, ScaleRule rule, float tensor,
                        std::span<const float> group) {
  const Range range = range_of(group);
  if (range.absmax() == 0) return {};
  const std::vector<GroupScale> candidates = candidate_scales(format, rule, range, tensor);
  if (candidates.size() == 1) return candidates.front();
  uint32_t best = ~0U;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const auto error = std::bit_cast<uint32_t>(squared_error(format, candidates[i], group));
    best = std::min(best, (error & ~kRankMask) | static_cast<uint32_t>(i));
  }
  return candidates[best & kRankMask];
}

float whole_tensor_scale(const WeightFormat& format, std::span<const float> w) {
  if (format.family != WeightFamily::kNvfp4) return 1;
  const float absmax = range_of(w).absmax();
  return absmax == 0 ? 1.0F : std::max(absmax / (kE2m1Max * kFp8E4m3FnMax), 0x1p-126F);
}

void write_bits(std::vector<uint8_t>& stream, int64_t first_bit, int64_t bits, uint32_t code) {
  for (int64_t i = 0; i < bits; ++i)
    if ((code >> i & 1U) != 0)
      stream[static_cast<size_t>((first_bit + i) / 8)] |=
          static_cast<uint8_t>(1U << ((first_bit + i) % 8));
}

uint32_t read_bits(const std::vector<uint8_t>& stream, int64_t first_bit, int64_t bits) {
  uint32_t code = 0;
  for (int64_t i = 0; i < bits; ++i) {
    const uint32_t byte = stream[static_cast<size_t>((first_bit + i) / 8)];
    code |= (byte >> ((first_bit + i) % 8) & 1U) << i;
  }
  return code;
}

int64_t group_length(const WeightFormat& format, int64_t k) {
  return format.group_size == 0 ? k : format.group_size;
}

void encode_row(PackedRows& packed, ScaleRule rule, int64_t row, const float* w) {
  const WeightFormat& format = packed.format;
  const int64_t first = row * packed.k;
  if (format.family == WeightFamily::kBf16) {
    for (int64_t i = 0; i < packed.k; ++i)
      write_bits(packed.payload, (first + i) * 16, 16, encode_bf16(w[i]));
    return;
  }
  const int64_t groups = num_groups(format, packed.k);
  const int64_t length = group_length(format, packed.k);
  const int64_t bytes = scale_bits(format) / 8;
  for (int64_t g = 0; g < groups; ++g) {
    const int64_t begin = g * length;
    const int64_t end = std::min(begin + length, packed.k);
    const std::span<const float> group(w + begin, static_cast<size_t>(end - begin));
    const GroupScale chosen = choose_scale(format, rule, packed.tensor_scale, group);
    const int64_t index = row * groups + g;
    for (int64_t b = 0; b < bytes; ++b)
      packed.scales[static_cast<size_t>(index * bytes + b)] =
          static_cast<uint8_t>(chosen.stored >> (8 * b));
    if (format.asymmetric)
      packed.zeros[static_cast<size_t>(index)] = static_cast<uint8_t>(chosen.zero);
    if (chosen.scale == 0) continue;
    for (int64_t i = begin; i < end; ++i)
      write_bits(packed.payload, (first + i) * format.bits, format.bits,
                 encode_element(format, w[i] / chosen.scale, chosen.zero));
  }
}

float read_scale(const PackedRows& packed, int64_t index) {
  const int64_t bits = scale_bits(packed.format);
  const uint32_t stored = read_bits(packed.scales, index * bits, bits);
  switch (packed.format.family) {
    case WeightFamily::kInt:
      return decode_fp16(static_cast<uint16_t>(stored));
    case WeightFamily::kFp8E4m3Fn:
      return std::bit_cast<float>(stored);
    case WeightFamily::kMxfp4:
      return decode_e8m0(static_cast<uint8_t>(stored));
    case WeightFamily::kNvfp4:
      return decode_fp8_e4m3fn(static_cast<uint8_t>(stored)) * packed.tensor_scale;
    case WeightFamily::kBf16:
      break;
  }
  return 1;
}

size_t stream_bytes(int64_t count, int64_t bits) {
  return static_cast<size_t>((count * bits + 7) / 8);
}

Status check(const PackedRows& packed) {
  const auto& formats = all_weight_formats();
  const WeightFormat& format = packed.format;
  const std::string name = format_name(format);
  if (std::find(formats.begin(), formats.end(), format) == formats.end())
    return invalid_argument(fmt::format("packed format {} ({} bits, group {}) is not a legal one",
                                        name, format.bits, format.group_size));
  if (packed.rows < 0 || packed.k < 0 ||
      (packed.k > 0 && packed.rows > kMaxPackedElements / packed.k))
    return invalid_argument(
        fmt::format("packed {}: rows = {}, k = {}, want 0 or more each and at "
                    "most {} elements",
                    name, packed.rows, packed.k, kMaxPackedElements));
  const int64_t groups = packed.rows * num_groups(format, packed.k);
  const auto mismatch = [&](const char* what, size_t have, size_t want) -> Status {
    if (have == want) return {};
    return invalid_argument(fmt::format("packed {} of {} x {}: {} has {} bytes, want {}", name,
                                        packed.rows, packed.k, what, have, want));
  };
  DOVETAIL_TRY_STATUS(mismatch("payload", packed.payload.size(),
                               stream_bytes(packed.rows * packed.k, format.bits)));
  DOVETAIL_TRY_STATUS(
      mismatch("scales", packed.scales.size(), stream_bytes(groups, scale_bits(format))));
  DOVETAIL_TRY_STATUS(
      mismatch("zeros", packed.zeros.size(), format.asymmetric ? static_cast<size_t>(groups) : 0));
  for (const uint8_t zero : packed.zeros)
    if (zero >= 1 << format.bits)
      return invalid_argument(fmt::format("packed {}: zero point = {}, want 0..{}", name, zero,
                                          (1 << format.bits) - 1));
  return {};
}

}  // namespace

PackedRows encode_rows(const WeightFormat& format, ScaleRule rule, int64_t rows, int64_t k,
                       const float* w) {
  DOVETAIL_CHECK(rows >= 0 && k >= 0 && (k == 0 || rows <= kMaxPackedElements / k));
  PackedRows packed{.format = format, .rows = rows, .k = k};
  const int64_t groups = rows * num_groups(format, k);
  packed.payload.resize(stream_bytes(rows * k, format.bits));
  packed.scales.resize(stream_bytes(groups, scale_bits(format)));
  packed.zeros.resize(format.asymmetric ? static_cast<size_t>(groups) : 0);
  packed.tensor_scale = whole_tensor_scale(format, {w, static_cast<size_t>(rows * k)});
  parallel_for((rows + kRowsPerStep - 1) / kRowsPerStep, [&](int64_t step, int64_t) {
    const int64_t end = std::min((step + 1) * kRowsPerStep, rows);
    for (int64_t row = step * kRowsPerStep; row < end; ++row)
      encode_row(packed, rule, row, w + row * k);
  });
  return packed;
}

Result<std::vector<float>> decode_rows(const PackedRows& packed) {
  DOVETAIL_TRY_STATUS(check(packed));
  const WeightFormat& format = packed.format;
  const int64_t groups = num_groups(format, packed.k);
  const int64_t length = group_length(format, packed.k);
  std::vector<float> values(static_cast<size_t>(packed.rows * packed.k));
  for (int64_t row = 0; row < packed.rows; ++row) {
    for (int64_t i = 0; i < packed.k; ++i) {
      const int64_t element = row * packed.k + i;
      const int64_t index = groups == 0 ? 0 : row * groups + i / length;
      const float scale = groups == 0 ? 1.0F : read_scale(packed, index);
      const int32_t zero = format.asymmetric ? packed.zeros[static_cast<size_t>(index)] : 0;
      const uint32_t code = read_bits(packed.payload, element * format.bits, format.bits);
      values[static_cast<size_t>(element)] = decode_element(format, code, zero) * scale;
    }
  }
  return values;
}

std::vector<uint8_t> pack_codes(const std::vector<uint16_t>& codes, int64_t bits) {
  DOVETAIL_CHECK(bits >= 1 && bits <= 16);
  std::vector<uint8_t> stream(stream_bytes(static_cast<int64_t>(codes.size()), bits));
  for (size_t i = 0; i < codes.size(); ++i)
    write_bits(stream, static_cast<int64_t>(i) * bits, bits, codes[i]);
  return stream;
}

Result<std::vector<uint16_t>> unpack_codes(const std::vector<uint8_t>& stream, int64_t bits,
                                           int64_t count) {
  if (bits < 1 || bits > 16 || count < 0 || count > kMaxPackedElements)
    return invalid_argument(
        fmt::format("packed stream: bits = {}, count = {}, want 1..16 and 0..{}", bits, count,
                    kMaxPackedElements));
  if (stream.size() != stream_bytes(count, bits))
    return invalid_argument(
        fmt::format("packed stream of {} codes of {} bits has {} bytes, want {}", count, bits,
                    stream.size(), stream_bytes(count, bits)));
  std::vector<uint16_t> codes;
  for (int64_t i = 0; i < count; ++i)
    codes.push_back(static_cast<uint16_t>(read_bits(stream, i * bits, bits)));
  return codes;
}

}  // namespace dovetail::formats
