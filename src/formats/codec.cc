#include "formats/codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "base/parallel.h"
#include "formats/element.h"
#include "formats/int_range.h"

namespace dovetail::formats {
namespace {

constexpr int64_t kTritsPerByte = 5;

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

// The elements of one group, row by row, and what an error in each counts (empty: 1).
struct Group {
  std::vector<float> w;
  std::vector<float> importance;
};

Range range_of(const std::vector<float>& group) {
  Range range;
  for (const float w : group) {
    range.min = std::min(range.min, w);
    range.max = std::max(range.max, w);
  }
  return range;
}

float span_of(const WeightFormat& format, const Range& range) {
  return format.asymmetric ? range.max - range.min : range.absmax();
}

int32_t clamped_zero(const WeightFormat& format, float wanted) {
  const auto top = static_cast<float>(int_range(format).high);
  return static_cast<int32_t>(std::clamp(std::nearbyint(wanted), 0.0F, top));
}

GroupScale fp16_scale(const WeightFormat& format, const Range& range, float factor, bool negative) {
  const float wanted = span_of(format, range) / scale_top(format) * factor;
  const uint16_t stored = encode_fp16(std::clamp(wanted, kFp16Min, kFp16Max));
  GroupScale made{.scale = decode_fp16(stored), .stored = stored};
  if (format.asymmetric) {
    made.zero = clamped_zero(format, -range.min * factor * (1.0F / made.scale));
  } else if (negative) {
    made.scale = -made.scale;
    made.stored |= 0x8000U;
  }
  return made;
}

GroupScale fp32_scale(const WeightFormat& format, const Range& range, float factor) {
  const float scale = std::max(range.absmax() / scale_top(format), 0x1p-126F) * factor;
  return {.scale = scale, .stored = std::bit_cast<uint32_t>(scale)};
}

GroupScale e8m0_group_scale(const WeightFormat& format, ScaleRule rule, const Range& range,
                            int32_t step) {
  const int32_t plain = e8m0_scale(rule, range.absmax(), scaled_element(format));
  const auto stored = static_cast<uint8_t>(std::clamp(plain + step, 0, kE8m0NanCode - 1));
  return {.scale = decode_e8m0(stored) * scale_unit(format), .stored = stored};
}

GroupScale e4m3_group_scale(const Range& range, float tensor, int32_t step) {
  const int32_t nearest = encode_fp8_e4m3fn(range.absmax() / kE2m1Max / tensor);
  const int32_t code = std::clamp<int32_t>(std::max(nearest, 1) + step, 1, kE4m3LargestCode);
  const auto stored = static_cast<uint8_t>(code);
  return {.scale = decode_fp8_e4m3fn(stored) * tensor, .stored = stored};
}

GroupScale uint8_group_scale(const WeightFormat& format, const Range& range, float row_scale,
                             int32_t step) {
  const float wanted = (range.max - range.min) / scale_top(format);
  const auto nearest =
      static_cast<int32_t>(std::clamp(std::nearbyint(wanted / row_scale), 1.0F, 255.0F));
  const int32_t code = std::clamp(nearest + step, 1, 255);
  return {.scale = static_cast<float>(code) * row_scale,
          .zero = clamped_zero(format, -range.min / wanted),
          .stored = static_cast<uint32_t>(code)};
}

// Candidates in the order of scale_rule.h; the first is the plain one. `range` is not of zeros.
// `outer`: the tensor's or the row's scale.
std::vector<GroupScale> candidate_scales(const WeightFormat& format, ScaleRule rule,
                                         const Range& range, float outer) {
  const bool may_flip = has_signed_scale(format) && rule == ScaleRule::kMse;
  const bool negative = may_flip && range.max > -range.min;
  std::vector<GroupScale> candidates;
  for (const float factor : scale_factors(format))
    candidates.push_back(format.scale == ScaleType::kFp16
                             ? fp16_scale(format, range, factor, negative && !candidates.empty())
                             : fp32_scale(format, range, factor));
  for (const int32_t step : scale_code_steps(format)) {
    if (format.scale == ScaleType::kE8m0) {
      candidates.push_back(e8m0_group_scale(format, rule, range, step));
    } else if (format.scale == ScaleType::kE4m3) {
      candidates.push_back(e4m3_group_scale(range, outer, step));
    } else {
      candidates.push_back(uint8_group_scale(format, range, outer, step));
    }
  }
  if (rule != ScaleRule::kMse) candidates.resize(1);
  return candidates;
}

int32_t whole_number(float x, Ties ties) {
  const float below = std::floor(x);
  const float rest = x - below;
  const bool odd = std::fmod(below, 2.0F) != 0;
  const bool up_at_half = ties == Ties::kEven ? odd : (ties == Ties::kAway) == (x > 0);
  return static_cast<int32_t>(below) + (rest > .5F || (rest == .5F && up_at_half) ? 1 : 0);
}

// x to the nearest code; the order of comparisons sends NaN to the lowest code.
int32_t int_code(const WeightFormat& format, float x, int32_t zero, Ties ties) {
  const IntRange range = int_range(format);
  if (!(x > static_cast<float>(range.low - zero))) return range.low;
  if (x >= static_cast<float>(range.high - zero)) return range.high;
  return whole_number(x, ties) + zero;
}

uint32_t level_code(const Levels& levels, float x, Ties ties) {
  uint32_t code = 0;
  for (const float threshold : level_thresholds(levels, ties)) code += x >= threshold ? 1U : 0U;
  return code;
}

// The code of x: integers and ternaries as numbers in two's complement, before they are packed.
uint32_t encode_element(const WeightFormat& format, const Levels& levels, float x, int32_t zero,
                        Ties ties) {
  if (is_float(format.element)) return encode_float(format.element, x, ties);
  if (has_levels(format)) return level_code(levels, x, ties);
  if (format.element == Element::kBf16) return encode_bf16(x);
  return static_cast<uint32_t>(int_code(format, x, zero, ties)) & ((1U << format.bits) - 1);
}

// The value of a code in units of the scale.
float decode_element(const WeightFormat& format, const Levels& levels, uint32_t code,
                     int32_t zero) {
  if (is_float(format.element)) return decode_float(format.element, static_cast<uint8_t>(code));
  if (has_levels(format)) return levels[code];
  if (format.element == Element::kBf16) return decode_bf16(static_cast<uint16_t>(code));
  const bool below_zero = !format.asymmetric && (code >> (format.bits - 1)) != 0;
  return static_cast<float>(static_cast<int32_t>(code) - (below_zero ? 1 << format.bits : 0) -
                            zero);
}

// Squared error of a group in FP32, elements in ascending order, with x = w * (1 / s).
float squared_error(const WeightFormat& format, const Levels& levels, const GroupScale& candidate,
                    const Group& group, Ties ties) {
  const float inverse = 1.0F / candidate.scale;
  float sum = 0;
  for (size_t i = 0; i < group.w.size(); ++i) {
    const float x = group.w[i] * inverse;
    const uint32_t code = encode_element(format, levels, x, candidate.zero, ties);
    const float error = x - decode_element(format, levels, code, candidate.zero);
    const float squared = error * error;
    sum += group.importance.empty() ? squared : group.importance[i] * squared;
  }
  return sum * candidate.scale * candidate.scale;
}

GroupScale zero_group(const WeightFormat& format, ZeroBlock rule) {
  if (rule == ZeroBlock::kSmallest) return {};
  switch (format.scale) {
    case ScaleType::kFp16:
      return {.stored = encode_fp16(1.0F)};
    case ScaleType::kFp32:
      return {.stored = std::bit_cast<uint32_t>(1.0F)};
    case ScaleType::kE8m0:
      return {.stored = 127};
    case ScaleType::kE4m3:
      return {.stored = encode_fp8_e4m3fn(1.0F)};
    case ScaleType::kUint8:
      return {.stored = 1};
    case ScaleType::kNone:
      break;
  }
  return {};
}

GroupScale choose_scale(const WeightFormat& format, const Rounding& rounding, const Levels& levels,
                        float outer, const Group& group) {
  const Range range = range_of(group.w);
  if (range.absmax() == 0) return zero_group(format, rounding.zero_block);
  const std::vector<GroupScale> candidates = candidate_scales(format, rounding.scale, range, outer);
  if (candidates.size() == 1) return candidates.front();
  uint32_t best = ~0U;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const auto error =
        std::bit_cast<uint32_t>(squared_error(format, levels, candidates[i], group, rounding.ties));
    best = std::min(best, (error & ~kRankMask) | static_cast<uint32_t>(i));
  }
  return candidates[best & kRankMask];
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

size_t stream_bytes(int64_t bits) {
  return static_cast<size_t>((bits + 7) / 8);
}

size_t payload_bytes(const WeightFormat& format, int64_t rows, int64_t k) {
  return stream_bytes(rows * payload_bits_per_row(format, k));
}

constexpr std::array<uint32_t, kTritsPerByte> kPowersOfThree = {1, 3, 9, 27, 81};

// Code number `index` of row `row`, as encode_element gives it.
void write_code(PackedRows& packed, int64_t row, int64_t index, uint32_t code) {
  const WeightFormat& format = packed.format;
  const int64_t first_bit = row * payload_bits_per_row(format, packed.k);
  if (format.element != Element::kTernary) {
    write_bits(packed.payload, first_bit + index * format.bits, format.bits, code);
    return;
  }
  const uint32_t trit = code == 3 ? 0 : code + 1;  // -1 is 3 in two bits
  packed.payload[static_cast<size_t>(first_bit / 8 + index / kTritsPerByte)] +=
      static_cast<uint8_t>(trit * kPowersOfThree[static_cast<size_t>(index % kTritsPerByte)]);
}

uint32_t read_code(const PackedRows& packed, int64_t row, int64_t index) {
  const WeightFormat& format = packed.format;
  const int64_t first_bit = row * payload_bits_per_row(format, packed.k);
  if (format.element != Element::kTernary)
    return read_bits(packed.payload, first_bit + index * format.bits, format.bits);
  const uint32_t byte = packed.payload[static_cast<size_t>(first_bit / 8 + index / kTritsPerByte)];
  const uint32_t trit = byte / kPowersOfThree[static_cast<size_t>(index % kTritsPerByte)] % 3;
  return trit == 0 ? 3 : trit - 1;
}

int64_t group_length(const WeightFormat& format, int64_t k) {
  return format.group_size == 0 ? k : format.group_size;
}
int64_t group_height(const WeightFormat& format, int64_t rows) {
  return format.group_rows == 0 ? rows : format.group_rows;
}

// Positions of the kept elements of every `of`, ascending: those of largest score, the earlier at
// equality.
std::vector<bool> kept_positions(const WeightFormat& format, int64_t k, const float* w,
                                 const float* importance) {
  std::vector<bool> kept(static_cast<size_t>(k), !is_sparse(format));
  if (!is_sparse(format)) return kept;
  for (int64_t begin = 0; begin < k; begin += format.of) {
    std::vector<int64_t> order;
    for (int64_t i = begin; i < std::min(begin + format.of, k); ++i) order.push_back(i);
    const auto score = [&](int64_t i) {
      return w[i] * w[i] * (importance == nullptr ? 1.0F : importance[i]);
    };
    std::ranges::stable_sort(order, std::ranges::greater{}, score);
    for (int64_t i = 0; i < std::min(format.kept, std::ssize(order)); ++i)
      kept[static_cast<size_t>(order[static_cast<size_t>(i)])] = true;
  }
  return kept;
}

uint16_t qoq_row_scale(const WeightFormat& format, int64_t k, const float* row) {
  float absmax = 0;
  for (int64_t i = 0; i < k; ++i) absmax = std::max(absmax, std::fabs(row[i]));
  return encode_fp16(std::clamp(absmax / protective_range(format), kFp16Min, kFp16Max));
}

// kE4m3: max|w| / (6 * 448) of the whole tensor, else 1.
float tensor_scale(const WeightFormat& format, int64_t count, const float* w) {
  if (format.scale != ScaleType::kE4m3) return 1;
  float absmax = 0;
  for (int64_t i = 0; i < count; ++i) absmax = std::max(absmax, std::fabs(w[i]));
  return absmax == 0 ? 1.0F : std::max(absmax / (kE2m1Max * kFp8E4m3FnMax), 0x1p-126F);
}

Group gather(const WeightFormat& format, int64_t rows, int64_t k, const float* w,
             const float* importance, int64_t row_group, int64_t group) {
  const int64_t height = group_height(format, rows);
  const int64_t length = group_length(format, k);
  Group found;
  for (int64_t row = row_group * height; row < std::min((row_group + 1) * height, rows); ++row)
    for (int64_t i = group * length; i < std::min((group + 1) * length, k); ++i) {
      found.w.push_back(w[row * k + i]);
      if (importance != nullptr) found.importance.push_back(importance[i]);
    }
  return found;
}

float outer_scale(const MatrixScales& scales, int64_t row) {
  return scales.row_scale.empty() ? scales.tensor_scale
                                  : decode_fp16(scales.row_scale[static_cast<size_t>(row)]);
}

float scale_from_code(const WeightFormat& format, uint32_t stored, float outer) {
  switch (format.scale) {
    case ScaleType::kFp16:
      return decode_fp16(static_cast<uint16_t>(stored));
    case ScaleType::kFp32:
      return std::bit_cast<float>(stored);
    case ScaleType::kE8m0:
      return decode_e8m0(static_cast<uint8_t>(stored)) * scale_unit(format);
    case ScaleType::kE4m3:
      return decode_fp8_e4m3fn(static_cast<uint8_t>(stored)) * outer;
    case ScaleType::kUint8:
      return static_cast<float>(stored) * outer;
    case ScaleType::kNone:
      break;
  }
  return 1;
}

std::vector<uint8_t> scale_bytes(const WeightFormat& format, const std::vector<uint32_t>& stored) {
  std::vector<uint8_t> bytes;
  for (const uint32_t scale : stored)
    for (int64_t b = 0; b < scale_bits(format) / 8; ++b)
      bytes.push_back(static_cast<uint8_t>(scale >> (8 * b)));
  return bytes;
}

void encode_row(const MatrixScales& scales, Ties ties, int64_t row, const float* w,
                PackedRows& packed) {
  const WeightFormat& format = packed.format;
  const std::vector<bool> kept = kept_positions(format, packed.k, w, nullptr);
  const int64_t row_group = scales.groups == 0 ? 0 : row / group_height(format, packed.rows);
  int64_t index = 0;
  for (int64_t i = 0; i < packed.k; ++i) {
    if (!kept[static_cast<size_t>(i)]) continue;
    if (is_sparse(format)) write_bits(packed.mask, row * packed.k + i, 1, 1);
    float x = w[i];
    int32_t zero = 0;
    uint32_t code = 0;
    if (scales.groups > 0) {
      const auto group =
          static_cast<size_t>(row_group * scales.groups + i / group_length(format, packed.k));
      zero = format.asymmetric ? scales.zero[group] : 0;
      x = scales.scale[group] == 0 ? 0 : x / scales.scale[group];
    }
    code = encode_element(format, packed.levels.empty() ? levels_or_none(format) : packed.levels, x,
                          zero, ties);
    write_code(packed, row, index++, code);
  }
}

Status check_shape(const PackedRows& packed, const std::string& name) {
  if (packed.rows < 0 || packed.k < 0 ||
      (packed.k > 0 && packed.rows > kMaxPackedElements / packed.k))
    return invalid_argument(
        fmt::format("packed {}: rows = {}, k = {}, want 0 or more each and at "
                    "most {} elements",
                    name, packed.rows, packed.k, kMaxPackedElements));
  return {};
}

Status check_sizes(const PackedRows& packed, const std::string& name) {
  const WeightFormat& format = packed.format;
  const int64_t groups = num_row_groups(format, packed.rows) * num_groups(format, packed.k);
  const auto mismatch = [&](const char* what, size_t have, size_t want) -> Status {
    if (have == want) return {};
    return invalid_argument(fmt::format("packed {} of {} x {}: {} has {} bytes, want {}", name,
                                        packed.rows, packed.k, what, have, want));
  };
  const bool two_level = format.scale == ScaleType::kUint8;
  const size_t levels = format.element == Element::kTable ? size_t{1} << format.bits : 0;
  DOVETAIL_TRY_STATUS(
      mismatch("payload", packed.payload.size(), payload_bytes(format, packed.rows, packed.k)));
  DOVETAIL_TRY_STATUS(mismatch("mask", packed.mask.size(),
                               is_sparse(format) ? stream_bytes(packed.rows * packed.k) : 0));
  DOVETAIL_TRY_STATUS(
      mismatch("scales", packed.scales.size(), stream_bytes(groups * scale_bits(format))));
  DOVETAIL_TRY_STATUS(
      mismatch("zeros", packed.zeros.size(), format.asymmetric ? static_cast<size_t>(groups) : 0));
  DOVETAIL_TRY_STATUS(mismatch("row_scales", 2 * packed.row_scales.size(),
                               two_level ? 2 * static_cast<size_t>(packed.rows) : 0));
  return mismatch("levels", packed.levels.size(), levels);
}

Status check_codes(const PackedRows& packed, const std::string& name) {
  const WeightFormat& format = packed.format;
  for (const uint8_t zero : packed.zeros)
    if (zero >= 1 << format.bits)
      return invalid_argument(fmt::format("packed {}: zero point = {}, want 0..{}", name, zero,
                                          (1 << format.bits) - 1));
  if (format.element == Element::kTernary) {
    const auto wrong = std::ranges::find_if(packed.payload, [](uint8_t b) { return b > 242; });
    if (wrong != packed.payload.end())
      return invalid_argument(fmt::format("packed {}: byte {} of the payload is {}, want 0..242",
                                          name, wrong - packed.payload.begin(), *wrong));
  }
  if (!is_sparse(format)) return {};
  for (int64_t row = 0; row < packed.rows; ++row)
    for (int64_t begin = 0; begin < packed.k; begin += format.of) {
      const int64_t count = std::min(format.of, packed.k - begin);
      const auto bits = static_cast<int64_t>(
          std::popcount(read_bits(packed.mask, row * packed.k + begin, count)));
      if (bits != std::min(format.kept, count))
        return invalid_argument(
            fmt::format("packed {}: the mask keeps {} of elements {}..{} of row {}, want {}", name,
                        bits, begin, begin + count - 1, row, std::min(format.kept, count)));
    }
  return {};
}

}  // namespace

std::vector<float> sparsified(const WeightFormat& format, int64_t rows, int64_t k, const float* w,
                              const float* importance) {
  std::vector<float> left(w, w + rows * k);
  if (!is_sparse(format)) return left;
  for (int64_t row = 0; row < rows; ++row) {
    const std::vector<bool> kept = kept_positions(format, k, w + row * k, importance);
    for (int64_t i = 0; i < k; ++i)
      if (!kept[static_cast<size_t>(i)]) left[static_cast<size_t>(row * k + i)] = 0;
  }
  return left;
}

MatrixScales scales_of(const WeightFormat& format, const Rounding& rounding, int64_t rows,
                       int64_t k, const float* w, const float* importance) {
  const auto rules = legal_rules(format);
  DOVETAIL_CHECK(format.scale == ScaleType::kNone ||
                 std::ranges::find(rules, rounding.scale) != rules.end());
  const std::vector<float> left = sparsified(format, rows, k, w, importance);
  MatrixScales scales{.row_groups = num_row_groups(format, rows), .groups = num_groups(format, k)};
  scales.tensor_scale = tensor_scale(format, rows * k, left.data());
  if (format.scale == ScaleType::kUint8)
    for (int64_t row = 0; row < rows; ++row)
      scales.row_scale.push_back(qoq_row_scale(format, k, left.data() + row * k));
  if (format.element == Element::kTable)
    scales.levels = fit_levels(format, rows, k, left.data(), importance);
  const Levels levels = scales.levels.empty() ? levels_or_none(format) : scales.levels;
  const auto count = static_cast<size_t>(scales.row_groups * scales.groups);
  scales.stored.resize(count);
  scales.scale.resize(count);
  scales.zero.resize(format.asymmetric ? count : 0);
  parallel_for(scales.row_groups, [&](int64_t row_group, int64_t) {
    for (int64_t group = 0; group < scales.groups; ++group) {
      const GroupScale chosen =
          choose_scale(format, rounding, levels, outer_scale(scales, row_group),
                       gather(format, rows, k, left.data(), importance, row_group, group));
      const auto at = static_cast<size_t>(row_group * scales.groups + group);
      scales.stored[at] = chosen.stored;
      scales.scale[at] = chosen.scale;
      if (format.asymmetric) scales.zero[at] = static_cast<uint8_t>(chosen.zero);
    }
  });
  return scales;
}

PackedRows encode_with(const WeightFormat& format, Ties ties, const MatrixScales& scales,
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
  packed.payload.resize(payload_bytes(format, rows, k));
  packed.mask.resize(is_sparse(format) ? stream_bytes(rows * k) : 0);
  for (int64_t row = 0; row < rows; ++row) encode_row(scales, ties, row, w + row * k, packed);
  return packed;
}

PackedRows encode_rows(const WeightFormat& format, const Rounding& rounding, int64_t rows,
                       int64_t k, const float* w, const float* importance) {
  DOVETAIL_CHECK(rows >= 0 && k >= 0 && (k == 0 || rows <= kMaxPackedElements / k));
  const std::vector<float> left = sparsified(format, rows, k, w, importance);
  return encode_with(format, rounding.ties,
                     scales_of(format, rounding, rows, k, left.data(), importance), rows, k,
                     left.data());
}

Status check_packed(const PackedRows& packed) {
  const std::string name = format_name(packed.format);
  if (!is_legal(packed.format))
    return invalid_argument(fmt::format("packed format {} ({} bits, group {}) is not a legal one",
                                        name, packed.format.bits, packed.format.group_size));
  DOVETAIL_TRY_STATUS(check_shape(packed, name));
  DOVETAIL_TRY_STATUS(check_sizes(packed, name));
  return check_codes(packed, name);
}

MatrixScales unpack_scales(const PackedRows& packed) {
  const WeightFormat& format = packed.format;
  MatrixScales scales{.row_groups = num_row_groups(format, packed.rows),
                      .groups = num_groups(format, packed.k),
                      .zero = packed.zeros,
                      .row_scale = packed.row_scales,
                      .tensor_scale = packed.tensor_scale,
                      .levels = packed.levels};
  const int64_t bits = scale_bits(format);
  for (int64_t at = 0; at < scales.row_groups * scales.groups; ++at) {
    const uint32_t stored = read_bits(packed.scales, at * bits, bits);
    scales.stored.push_back(stored);
    scales.scale.push_back(
        scale_from_code(format, stored, outer_scale(scales, at / scales.groups)));
  }
  return scales;
}

Result<std::vector<float>> decode_rows(const PackedRows& packed) {
  DOVETAIL_TRY_STATUS(check_packed(packed));
  const WeightFormat& format = packed.format;
  const MatrixScales scales = unpack_scales(packed);
  const Levels& levels = packed.levels.empty() ? levels_or_none(format) : packed.levels;
  const int64_t length = group_length(format, packed.k);
  const int64_t height = group_height(format, packed.rows);
  std::vector<float> values(static_cast<size_t>(packed.rows * packed.k));
  for (int64_t row = 0; row < packed.rows; ++row) {
    int64_t index = 0;
    for (int64_t i = 0; i < packed.k; ++i) {
      const int64_t element = row * packed.k + i;
      if (is_sparse(format) && read_bits(packed.mask, element, 1) == 0) continue;
      const auto group =
          scales.groups == 0 ? 0 : static_cast<size_t>(row / height * scales.groups + i / length);
      const int32_t zero = format.asymmetric ? packed.zeros[group] : 0;
      const float value = decode_element(format, levels, read_code(packed, row, index++), zero);
      values[static_cast<size_t>(element)] =
          scales.groups == 0 ? value : value * scales.scale[group];
    }
  }
  return values;
}

std::vector<uint8_t> pack_codes(const std::vector<uint16_t>& codes, int64_t bits) {
  DOVETAIL_CHECK(bits >= 1 && bits <= 16);
  std::vector<uint8_t> stream(stream_bytes(static_cast<int64_t>(codes.size()) * bits));
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
  if (stream.size() != stream_bytes(count * bits))
    return invalid_argument(
        fmt::format("packed stream of {} codes of {} bits has {} bytes, want {}", count, bits,
                    stream.size(), stream_bytes(count * bits)));
  std::vector<uint16_t> codes;
  for (int64_t i = 0; i < count; ++i)
    codes.push_back(static_cast<uint16_t>(read_bits(stream, i * bits, bits)));
  return codes;
}

}  // namespace dovetail::formats
