// The search of scales, quick: see quantize.h. Lanes are candidates, so elements come one by one in
// the golden codec's order and no group has a tail.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <vector>

#include "base/parallel.h"
#include "formats/element_lanes.h"
#include "formats/quantize.h"
#include "formats/row_blocks.h"

namespace dovetail::formats {
namespace {

// n columns of `height` rows.
struct Group {
  const float* w = nullptr;
  int64_t n = 0;
  int64_t height = 1;
  int64_t stride = 0;
  const float* importance = nullptr;  // (n) or none
};

ValueRange range_of(const Group& group) {
  ValueRange range;
  for (int64_t row = 0; row < group.height; ++row) {
    const ValueRange found = value_range(group.w + row * group.stride, group.n);
    range.min = std::min(range.min, found.min);
    range.max = std::max(range.max, found.max);
  }
  return range;
}

// The scales that one group may take, in the order of scale_rule.h, padded to whole registers.
struct Candidates {
  alignas(64) std::array<float, kMaxCandidates> scale;
  alignas(64) std::array<float, kMaxCandidates> zero;       // integers
  alignas(64) std::array<uint32_t, kMaxCandidates> stored;  // scales that step by codes
};

// What all groups of a matrix have in common.
struct Plan {
  WeightFormat format;
  Rounding rounding;
  float top = 1;
  std::vector<float> factors;  // padded with the first
  std::vector<int32_t> steps;  // padded with the first
  size_t count = 1;            // candidates, padded to whole registers; 1: no search
};

template <typename T>
void pad_to_lanes(std::vector<T>& values) {
  while (!values.empty() && values.size() % kLanes != 0) values.push_back(values.front());
}

Plan make_plan(const WeightFormat& format, const Rounding& rounding) {
  Plan plan{.format = format,
            .rounding = rounding,
            .top = scale_top(format),
            .factors = scale_factors(format),
            .steps = scale_code_steps(format)};
  const bool search = rounding.scale == ScaleRule::kMse;
  if (!search) {
    plan.factors.resize(std::min<size_t>(plan.factors.size(), 1));
    plan.steps.resize(std::min<size_t>(plan.steps.size(), 1));
  }
  pad_to_lanes(plan.factors);
  pad_to_lanes(plan.steps);
  plan.count = search ? std::max(plan.factors.size(), plan.steps.size()) : 1;
  return plan;
}

FloatLanes whole_within(FloatLanes x, float top) {
  return IntElement<Ties::kEven>{.low = FloatLanes{}, .high = broadcast(top)}.round(x);
}

void fill_fp16(const Plan& plan, const ValueRange& range, Candidates& candidates) {
  constexpr Fp16Element kFp16{.max = kFp16Max};
  const bool asymmetric = plan.format.asymmetric;
  const float step = (asymmetric ? range.max - range.min : range.absmax()) / plan.top;
  const bool negative = has_signed_scale(plan.format) && plan.count > 1 && range.max > -range.min;
  for (size_t at = 0; at < plan.count; at += kLanes) {
    const FloatLanes factor = load(plan.factors.data() + at);
    const FloatLanes scale = larger(kFp16.round(step * factor), broadcast(kFp16Min));
    const FloatLanes zero =
        asymmetric ? whole_within(-range.min * factor * (1.0F / scale), plan.top) : FloatLanes{};
    store(negative ? -scale : scale, candidates.scale.data() + at);
    store(zero, candidates.zero.data() + at);
  }
  candidates.scale[0] = std::fabs(candidates.scale[0]);  // the first is the plain one
}

void fill_fp32(const Plan& plan, float absmax, Candidates& candidates) {
  const float scale = std::max(absmax / plan.top, 0x1p-126F);
  for (size_t i = 0; i < plan.count; ++i) candidates.scale[i] = scale * plan.factors[i];
}

void fill_e8m0(const Plan& plan, float absmax, Candidates& candidates) {
  const int32_t plain = e8m0_scale(plan.rounding.scale, absmax, scaled_element(plan.format));
  const float unit = scale_unit(plan.format);
  for (size_t i = 0; i < plan.count; ++i) {
    const auto code = static_cast<uint8_t>(std::clamp(plain + plan.steps[i], 0, kE8m0NanCode - 1));
    candidates.stored[i] = code;
    candidates.scale[i] = decode_e8m0(code) * unit;
  }
}

void fill_e4m3(const Plan& plan, float absmax, float tensor, Candidates& candidates) {
  static const std::array<float, 128> kValues = [] {
    std::array<float, 128> made;
    for (size_t code = 0; code < made.size(); ++code)
      made[code] = decode_fp8_e4m3fn(static_cast<uint8_t>(code));
    return made;
  }();
  const int32_t nearest = std::max<int32_t>(encode_fp8_e4m3fn(absmax / kE2m1Max / tensor), 1);
  for (size_t i = 0; i < plan.count; ++i) {
    const int32_t code = std::clamp<int32_t>(nearest + plan.steps[i], 1, kE4m3LargestCode);
    candidates.stored[i] = static_cast<uint32_t>(code);
    candidates.scale[i] = kValues[static_cast<size_t>(code)] * tensor;
  }
}

void fill_uint8(const Plan& plan, const ValueRange& range, float row_scale,
                Candidates& candidates) {
  const float wanted = (range.max - range.min) / plan.top;
  const auto nearest =
      static_cast<int32_t>(std::clamp(std::nearbyint(wanted / row_scale), 1.0F, 255.0F));
  const float zero = std::clamp(std::nearbyint(-range.min / wanted), 0.0F, plan.top);
  for (size_t i = 0; i < plan.count; ++i) {
    const int32_t code = std::clamp(nearest + plan.steps[i], 1, 255);
    candidates.stored[i] = static_cast<uint32_t>(code);
    candidates.scale[i] = static_cast<float>(code) * row_scale;
    candidates.zero[i] = zero;
  }
}

void fill_candidates(const Plan& plan, const ValueRange& range, float outer,
                     Candidates& candidates) {
  switch (plan.format.scale) {
    case ScaleType::kFp16:
      return fill_fp16(plan, range, candidates);
    case ScaleType::kFp32:
      return fill_fp32(plan, range.absmax(), candidates);
    case ScaleType::kE8m0:
      return fill_e8m0(plan, range.absmax(), candidates);
    case ScaleType::kE4m3:
      return fill_e4m3(plan, range.absmax(), outer, candidates);
    case ScaleType::kUint8:
      return fill_uint8(plan, range, outer, candidates);
    case ScaleType::kNone:
      return;
  }
}

// x - round(x), or its magnitude for float elements, whose two halves are mirror images.
template <typename Element>
[[gnu::always_inline]] inline FloatLanes rounding_error(const Element& element, FloatLanes x) {
  if constexpr (Element::kSigned) {
    const FloatLanes size = magnitude(x);
    return size - element.round_magnitude(size);
  } else {
    return x - element.round(x);
  }
}

template <bool kWeighted, typename Element>
FloatLanes squared_errors(const Group& group, FloatLanes scale, const Element& rounding) {
  const FloatLanes inverse = 1.0F / scale;
  FloatLanes sum{};
  for (int64_t row = 0; row < group.height; ++row) {
    const float* w = group.w + row * group.stride;
    for (int64_t i = 0; i < group.n; ++i) {
      const FloatLanes error = rounding_error(rounding, w[i] * inverse);
      const FloatLanes squared = error * error;
      sum += kWeighted ? group.importance[i] * squared : squared;
    }
  }
  return sum * scale * scale;
}

// The candidate with the least squared error.
template <typename Element>
size_t best_candidate(const Candidates& candidates, size_t count, const Group& group,
                      const Element& element) {
  BitLanes best = ~BitLanes{};
  BitLanes rank{};
  for (int64_t lane = 0; lane < kLanes; ++lane) rank[lane] = static_cast<uint32_t>(lane);
  for (size_t at = 0; at < count; at += kLanes) {
    const FloatLanes scale = load(candidates.scale.data() + at);
    const auto rounding = shifted_lanes(element, load(candidates.zero.data() + at));
    const FloatLanes squared = group.importance == nullptr
                                   ? squared_errors<false>(group, scale, rounding)
                                   : squared_errors<true>(group, scale, rounding);
    const BitLanes key = (std::bit_cast<BitLanes>(squared) & ~kRankMask) | rank;
    best = key < best ? key : best;
    rank += static_cast<uint32_t>(kLanes);
  }
  return smallest_lane(best) & kRankMask;
}

uint32_t stored_scale(const WeightFormat& format, const Candidates& candidates, size_t at) {
  if (format.scale == ScaleType::kFp16) return encode_fp16(candidates.scale[at]);
  if (format.scale == ScaleType::kFp32) return std::bit_cast<uint32_t>(candidates.scale[at]);
  return candidates.stored[at];
}

uint32_t stored_zero_group(const WeightFormat& format, ZeroBlock rule) {
  if (rule == ZeroBlock::kSmallest) return 0;
  switch (format.scale) {
    case ScaleType::kFp16:
      return 0x3C00U;
    case ScaleType::kFp32:
      return std::bit_cast<uint32_t>(1.0F);
    case ScaleType::kE8m0:
      return 0x7FU;
    case ScaleType::kE4m3:
      return 0x38U;
    default:
      return 1;
  }
}

template <typename Element>
void choose_one(const Plan& plan, const Element& element, const Group& group, float outer,
                size_t at, Candidates& candidates, MatrixScales& scales) {
  const ValueRange range = range_of(group);
  if (range.absmax() == 0) {
    scales.stored[at] = stored_zero_group(plan.format, plan.rounding.zero_block);
    return;
  }
  fill_candidates(plan, range, outer, candidates);
  const size_t best = plan.count == 1 ? 0 : best_candidate(candidates, plan.count, group, element);
  scales.scale[at] = candidates.scale[best];
  scales.stored[at] = stored_scale(plan.format, candidates, best);
  if (plan.format.asymmetric) scales.zero[at] = static_cast<uint8_t>(candidates.zero[best]);
}

float largest_magnitude(const float* w, int64_t n) {
  FloatLanes largest{};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) largest = larger(magnitude(load(w + i)), largest);
  if (i < n) largest = larger(magnitude(load_first(w + i, n - i)), largest);
  return largest_lane(largest);
}

struct ScaleLanes {
  FloatLanes scale;
  BitLanes stored;
};

ScaleLanes plain_e4m3(FloatLanes absmax, float tensor) {
  constexpr E4m3Element<Ties::kEven> kE4m3{.max = kFp8E4m3FnMax};
  const FloatLanes scale = larger(kE4m3.round(absmax / kE2m1Max / tensor), broadcast(0x1p-9F));
  return {scale * tensor, kE4m3.code(scale)};
}

// element.h's e8m0_scale, lane by lane.
ScaleLanes plain_e8m0(const Plan& plan, FloatLanes absmax) {
  const ScaledElement element = scaled_element(plan.format);
  const ScaleRule rule = plan.rounding.scale;
  auto bits = std::bit_cast<BitLanes>(absmax);
  if (rule == ScaleRule::kEven) bits += 1U << static_cast<uint32_t>(22 - element.mantissa_bits);
  auto code = std::bit_cast<IntLanes>(bits >> 23) - element.emax;
  const uint32_t tail = rule == ScaleRule::kCeil ? 0
                        : rule == ScaleRule::kRceil
                            ? std::bit_cast<uint32_t>(element.max) & 0x7FFFFF
                            : 0x7FFFFF;                        // no mantissa lies above
  code -= std::bit_cast<IntLanes>((bits & 0x7FFFFFU) > tail);  // a mask is -1
  code = code < 0 ? IntLanes{} : code;
  code = code > kE8m0NanCode - 1 ? kE8m0NanCode - 1 - IntLanes{} : code;
  const auto stored = std::bit_cast<BitLanes>(code);
  const BitLanes power = stored == 0 ? 0x400000U - BitLanes{} : stored << 23;  // 2^-127 for 0
  return {std::bit_cast<FloatLanes>(power) * scale_unit(plan.format), stored};
}

// The plain scales of a row, kLanes groups at a time: formats of one-byte scales have small groups.
void choose_plain_row(const Plan& plan, int64_t k, const float* w, size_t first,
                      MatrixScales& scales) {
  const int64_t length = plan.format.group_size;
  const uint32_t zero_group = stored_zero_group(plan.format, plan.rounding.zero_block);
  for (int64_t g = 0; g < scales.groups; g += kLanes) {
    const int64_t count = std::min(kLanes, scales.groups - g);
    LaneArray largest{};
    for (int64_t i = 0; i < count; ++i)
      largest[static_cast<size_t>(i)] =
          largest_magnitude(w + (g + i) * length, std::min(length, k - (g + i) * length));
    const FloatLanes absmax = load(largest.data());
    const ScaleLanes plain = plan.format.scale == ScaleType::kE8m0
                                 ? plain_e8m0(plan, absmax)
                                 : plain_e4m3(absmax, scales.tensor_scale);
    const FloatLanes scale = absmax == 0 ? FloatLanes{} : plain.scale;
    const BitLanes stored = absmax == 0 ? zero_group - BitLanes{} : plain.stored;
    const size_t at = first + static_cast<size_t>(g);
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      scales.scale[at + i] = scale[i];
      scales.stored[at + i] = stored[i];
    }
  }
}

float outer_of(const MatrixScales& scales, int64_t row) {
  return scales.row_scale.empty() ? scales.tensor_scale
                                  : decode_fp16(scales.row_scale[static_cast<size_t>(row)]);
}

void choose_all(const Plan& plan, int64_t rows, int64_t k, const float* w, const float* importance,
                MatrixScales& scales) {
  const WeightFormat& format = plan.format;
  const int64_t length = format.group_size == 0 ? k : format.group_size;
  const int64_t height = format.group_rows == 0 ? rows : format.group_rows;
  const bool has_byte_scales = format.scale == ScaleType::kE8m0 || format.scale == ScaleType::kE4m3;
  if (plan.count == 1 && has_byte_scales) {
    for_row_blocks(rows, k, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row)
        choose_plain_row(plan, k, w + row * k, static_cast<size_t>(row * scales.groups), scales);
    });
    return;
  }
  const Levels levels = scales.levels.empty() ? levels_or_none(format) : scales.levels;
  with_element(format, plan.rounding.ties, levels, [&](const auto& element) {
    for_row_blocks(scales.row_groups, k * height, [&](int64_t first, int64_t last) {
      Candidates candidates{};
      for (int64_t row_group = first; row_group < last; ++row_group)
        for (int64_t g = 0; g < scales.groups; ++g) {
          const Group group{
              .w = w + row_group * height * k + g * length,
              .n = std::min(length, k - g * length),
              .height = std::min(height, rows - row_group * height),
              .stride = k,
              .importance = importance == nullptr ? nullptr : importance + g * length};
          choose_one(plan, element, group, outer_of(scales, row_group),
                     static_cast<size_t>(row_group * scales.groups + g), candidates, scales);
        }
    });
  });
}

void set_row_scales(const WeightFormat& format, int64_t rows, int64_t k, const float* w,
                    MatrixScales& scales) {
  scales.row_scale.resize(static_cast<size_t>(rows));
  for (int64_t row = 0; row < rows; ++row) {
    const float wanted = value_range(w + row * k, k).absmax() / protective_range(format);
    scales.row_scale[static_cast<size_t>(row)] =
        encode_fp16(std::clamp(wanted, kFp16Min, kFp16Max));
  }
}

}  // namespace

MatrixScales choose_scales(const WeightFormat& format, const Rounding& rounding, int64_t rows,
                           int64_t k, const float* w, const float* importance) {
  const auto rules = legal_rules(format);
  DOVETAIL_CHECK(format.scale == ScaleType::kNone ||
                 std::ranges::find(rules, rounding.scale) != rules.end());
  MatrixScales scales{.row_groups = num_row_groups(format, rows), .groups = num_groups(format, k)};
  if (scales.groups == 0) return scales;
  std::vector<float> left;
  if (is_sparse(format)) {
    left.assign(w, w + rows * k);
    drop_smallest(format, rows, k, importance, left.data());
    w = left.data();
  }
  if (format.scale == ScaleType::kE4m3) {
    const float absmax = value_range(w, rows * k).absmax();
    scales.tensor_scale =
        absmax == 0 ? 1.0F : std::max(absmax / (kE2m1Max * kFp8E4m3FnMax), 0x1p-126F);
  }
  if (format.scale == ScaleType::kUint8) set_row_scales(format, rows, k, w, scales);
  if (format.element == Element::kTable) scales.levels = fit_levels(format, rows, k, w, importance);
  const auto count = static_cast<size_t>(scales.row_groups * scales.groups);
  scales.stored.resize(count);
  scales.scale.resize(count);
  scales.zero.resize(format.asymmetric ? count : 0);
  choose_all(make_plan(format, rounding), rows, k, w, importance, scales);
  return scales;
}

}  // namespace dovetail::formats
