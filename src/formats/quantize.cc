#include "formats/quantize.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <vector>

#include "base/parallel.h"
#include "formats/element.h"
#include "formats/lanes.h"

namespace dovetail::formats {
namespace {

// Elements that one parallel step handles at least: below, starting a thread costs more.
constexpr int64_t kElementsPerStep = 1 << 17;

constexpr E2m1Element kE2m1{.max = kE2m1Max};
constexpr E4m3Element kE4m3{.max = kFp8E4m3FnMax};
constexpr Fp16Element kFp16{.max = kFp16Max};

struct Range {
  float min;  // <= 0
  float max;  // >= 0
  float absmax() const { return std::max(-min, max); }
};

Range range_of(const float* w, int64_t count) {
  FloatLanes low{};
  FloatLanes high{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const FloatLanes x = load(w + i);
    low = smaller(x, low);
    high = larger(x, high);
  }
  if (i < count) {
    const FloatLanes x = load_first(w + i, count - i);
    low = smaller(x, low);
    high = larger(x, high);
  }
  return {.min = -largest_lane(-low), .max = largest_lane(high)};
}

// The scales that one group may take, in the order of scale_rule.h, padded to whole registers.
struct Candidates {
  alignas(64) std::array<float, kMaxCandidates> scale;
  alignas(64) std::array<float, kMaxCandidates> low;   // kInt: smallest code less the zero point
  alignas(64) std::array<float, kMaxCandidates> high;  // kInt: largest code less the zero point
};

// A group's scale and, for integers, its range of codes less the zero point. Scale 0: zeros.
struct Chosen {
  float scale = 0;
  float low = 0;
  float high = 0;
};

template <typename Element>
Element element_at(const Candidates&, size_t, const Element& element) {
  return element;
}
IntElement element_at(const Candidates& candidates, size_t at, const IntElement&) {
  return {.low = load(candidates.low.data() + at), .high = load(candidates.high.data() + at)};
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

// The candidate with the least squared error. Lanes are candidates and elements come one by one, so
// sums run in element order whatever the width, and no group has a tail.
template <typename Element>
size_t best_candidate(const Candidates& candidates, size_t count, const float* w, int64_t n,
                      const Element& element) {
  BitLanes best = ~BitLanes{};
  BitLanes rank{};
  for (int64_t lane = 0; lane < kLanes; ++lane) rank[lane] = static_cast<uint32_t>(lane);
  for (size_t at = 0; at < count; at += kLanes) {
    const FloatLanes scale = load(candidates.scale.data() + at);
    const FloatLanes inverse = 1.0F / scale;
    const auto rounding = element_at(candidates, at, element);
    FloatLanes sum{};
    for (int64_t i = 0; i < n; ++i) {
      const FloatLanes error = rounding_error(rounding, w[i] * inverse);
      sum += error * error;
    }
    const FloatLanes squared = sum * scale * scale;
    const BitLanes key = (std::bit_cast<BitLanes>(squared) & ~kRankMask) | rank;
    best = key < best ? key : best;
    rank += static_cast<uint32_t>(kLanes);
  }
  return smallest_lane(best) & kRankMask;
}

// out = round(w / s) * s.
template <typename Element>
void write_group(const Element& element, float scale, int64_t n, const float* w, float* out) {
  const FloatLanes s = broadcast(scale);
  const auto value = [&](FloatLanes lanes) {
    const FloatLanes x = lanes / s;
    const FloatLanes code = element.round(x);
    return (Element::kSigned ? with_sign_of(code, x) : code) * s;
  };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(value(load(w + i)), out + i);
  if (i < n) store_first(value(load_first(w + i, n - i)), out + i, n - i);
}

// What all groups of a matrix have in common.
struct Plan {
  WeightFormat format;
  float tensor = 1;
  std::vector<float> factors;  // padded with the first
  std::vector<int32_t> steps;  // padded with the first
  size_t count = 1;            // candidates, padded to whole registers; 1: no search
};

template <typename T>
void pad_to_lanes(std::vector<T>& values) {
  while (!values.empty() && values.size() % kLanes != 0) values.push_back(values.front());
}

Plan make_plan(const WeightFormat& format, ScaleRule rule, float tensor) {
  Plan plan{.format = format,
            .tensor = tensor,
            .factors = scale_factors(format),
            .steps = scale_code_steps(format)};
  if (rule == ScaleRule::kAbsmax) {
    plan.factors.resize(std::min<size_t>(plan.factors.size(), 1));
    plan.steps.resize(std::min<size_t>(plan.steps.size(), 1));
  }
  const bool search = rule == ScaleRule::kMse;
  pad_to_lanes(plan.factors);
  pad_to_lanes(plan.steps);
  plan.count = search ? std::max(plan.factors.size(), plan.steps.size()) : 1;
  return plan;
}

void fill_int_candidates(const Plan& plan, const Range& range, Candidates& candidates) {
  const WeightFormat& format = plan.format;
  const bool asymmetric = format.asymmetric;
  const auto num_codes = static_cast<float>(1 << format.bits);
  const float top = asymmetric ? num_codes - 1 : num_codes / 2 - 1;
  const float step = (asymmetric ? range.max - range.min : range.absmax()) / top;
  const bool negative = !asymmetric && plan.count > 1 && range.max > -range.min;
  for (size_t at = 0; at < plan.count; at += kLanes) {
    const FloatLanes factor = load(plan.factors.data() + at);
    const FloatLanes scale = larger(kFp16.round(step * factor), broadcast(kFp16Min));
    FloatLanes low = broadcast(-num_codes / 2);
    FloatLanes high = broadcast(top);
    if (asymmetric) {
      const FloatLanes wanted = -range.min * factor * (1.0F / scale);
      const FloatLanes zero = IntElement{.low = FloatLanes{}, .high = high}.round(wanted);
      low = -zero;
      high = top - zero;
    }
    store(negative ? -scale : scale, candidates.scale.data() + at);
    store(low, candidates.low.data() + at);
    store(high, candidates.high.data() + at);
  }
  candidates.scale[0] = std::fabs(candidates.scale[0]);  // the first is kAbsmax itself
}

Chosen choose_int(const Plan& plan, int64_t n, const float* w, Candidates& candidates) {
  const Range range = range_of(w, n);
  if (range.absmax() == 0) return {};
  fill_int_candidates(plan, range, candidates);
  const size_t best =
      plan.count == 1 ? 0 : best_candidate(candidates, plan.count, w, n, IntElement{});
  return {
      .scale = candidates.scale[best], .low = candidates.low[best], .high = candidates.high[best]};
}

void fill_float_candidates(const Plan& plan, float absmax, Candidates& candidates) {
  if (plan.format.family == WeightFamily::kFp8E4m3Fn) {
    const float scale = std::max(absmax / kFp8E4m3FnMax, 0x1p-126F);
    for (size_t i = 0; i < plan.count; ++i) candidates.scale[i] = scale * plan.factors[i];
    return;
  }
  if (plan.format.family == WeightFamily::kMxfp4) {
    const int32_t floor = e8m0_floor_scale(absmax, 2);
    for (size_t i = 0; i < plan.count; ++i)
      candidates.scale[i] =
          decode_e8m0(static_cast<uint8_t>(std::clamp(floor + plan.steps[i], 0, kE8m0NanCode - 1)));
    return;
  }
  static const std::array<float, 128> values = [] {
    std::array<float, 128> made;
    for (size_t code = 0; code < made.size(); ++code)
      made[code] = decode_fp8_e4m3fn(static_cast<uint8_t>(code));
    return made;
  }();
  const int32_t nearest = std::max<int32_t>(encode_fp8_e4m3fn(absmax / kE2m1Max / plan.tensor), 1);
  for (size_t i = 0; i < plan.count; ++i) {
    const int32_t code = std::clamp<int32_t>(nearest + plan.steps[i], 1, kE4m3LargestCode);
    candidates.scale[i] = values[static_cast<size_t>(code)] * plan.tensor;
  }
}

template <typename Element>
void quantize_float_group(const Plan& plan, const Element& element, int64_t n, const float* w,
                          float* out, Candidates& candidates) {
  const float absmax = range_of(w, n).absmax();
  if (absmax == 0) {
    std::fill_n(out, n, 0.0F);
    return;
  }
  fill_float_candidates(plan, absmax, candidates);
  const size_t best = plan.count == 1 ? 0 : best_candidate(candidates, plan.count, w, n, element);
  write_group(element, candidates.scale[best], n, w, out);
}

void quantize_int_group(const Plan& plan, int64_t n, const float* w, float* out,
                        Candidates& candidates) {
  const Chosen chosen = choose_int(plan, n, w, candidates);
  if (chosen.scale == 0) {
    std::fill_n(out, n, 0.0F);
    return;
  }
  const IntElement element{.low = broadcast(chosen.low), .high = broadcast(chosen.high)};
  write_group(element, chosen.scale, n, w, out);
}

void round_to_bf16(int64_t count, const float* x, float* out) {
  for (int64_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<uint32_t>(x[i]);
    const uint32_t nan = (bits & 0x7FFFFFFFU) > 0x7F800000U ? 1U : 0U;
    const uint32_t rounded = bits + (nan != 0 ? 0U : 0x7FFFU + ((bits >> 16U) & 1U));
    out[i] = std::bit_cast<float>((rounded & 0xFFFF0000U) | nan << 22U);
  }
}

void quantize_planned_row(const Plan& plan, int64_t k, const float* w, float* out) {
  const WeightFormat& format = plan.format;
  if (format.family == WeightFamily::kBf16) {
    round_to_bf16(k, w, out);
    return;
  }
  Candidates candidates;
  const int64_t length = format.group_size == 0 ? k : format.group_size;
  for (int64_t begin = 0; begin < k; begin += length) {
    const int64_t n = std::min(length, k - begin);
    if (format.family == WeightFamily::kInt)
      quantize_int_group(plan, n, w + begin, out + begin, candidates);
    else if (format.family == WeightFamily::kFp8E4m3Fn)
      quantize_float_group(plan, kE4m3, n, w + begin, out + begin, candidates);
    else
      quantize_float_group(plan, kE2m1, n, w + begin, out + begin, candidates);
  }
}

// 1/2 sum S * (w - q)^2, in kSums partial sums so that the order does not depend on the lanes.
double weighted_error(int64_t k, const float* w, const float* q, const float* weight) {
  constexpr int64_t kSums = 16;
  std::array<double, kSums> sums{};
  int64_t i = 0;
  for (; i + kSums <= k; i += kSums)
    for (int64_t j = 0; j < kSums; ++j) {
      const auto error = static_cast<double>(w[i + j] - q[i + j]);
      sums[static_cast<size_t>(j)] += static_cast<double>(weight[i + j]) * (error * error);
    }
  double total = 0;
  for (; i < k; ++i) {
    const auto error = static_cast<double>(w[i] - q[i]);
    total += static_cast<double>(weight[i]) * (error * error);
  }
  for (const double sum : sums) total += sum;
  return total / 2;
}

// Calls body(first, last) over all rows, in parallel where that is worth a thread.
template <typename Body>
void for_row_blocks(int64_t rows, int64_t k, const Body& body) {
  const int64_t per_step = std::max<int64_t>(1, kElementsPerStep / std::max<int64_t>(k, 1));
  const int64_t steps = (rows + per_step - 1) / per_step;
  if (steps <= 1) {
    body(0, rows);
    return;
  }
  parallel_for(steps, [&](int64_t step, int64_t) {
    body(step * per_step, std::min(rows, (step + 1) * per_step));
  });
}

// x = round(x / s) * s with the FP32 scale s = max|x| / max of each vector.
template <typename Element>
void quantize_tokens(const Element& element, float max, int64_t tokens, int64_t k, float* x) {
  for_row_blocks(tokens, k, [&](int64_t first, int64_t last) {
    for (int64_t token = first; token < last; ++token) {
      float* row = x + token * k;
      const float absmax = range_of(row, k).absmax();
      if (absmax == 0)
        std::fill_n(row, k, 0.0F);
      else
        write_group(element, std::max(absmax / max, 0x1p-126F), k, row, row);
    }
  });
}

}  // namespace

float tensor_scale(const WeightFormat& format, int64_t count, const float* w) {
  if (format.family != WeightFamily::kNvfp4) return 1;
  const float absmax = range_of(w, count).absmax();
  return absmax == 0 ? 1.0F : std::max(absmax / (kE2m1Max * kFp8E4m3FnMax), 0x1p-126F);
}

void quantize_row(const WeightFormat& format, ScaleRule rule, float tensor, int64_t k,
                  const float* w, float* out) {
  quantize_planned_row(make_plan(format, rule, tensor), k, w, out);
}

void quantize_rows(const WeightFormat& format, ScaleRule rule, int64_t rows, int64_t k,
                   const float* w, float* out) {
  const Plan plan = make_plan(format, rule, tensor_scale(format, rows * k, w));
  for_row_blocks(rows, k, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row)
      quantize_planned_row(plan, k, w + row * k, out + row * k);
  });
}

double weighted_error_rows(const WeightFormat& format, ScaleRule rule, int64_t rows, int64_t k,
                           const float* w, const float* weight) {
  const Plan plan = make_plan(format, rule, tensor_scale(format, rows * k, w));
  std::vector<double> errors(static_cast<size_t>(rows));
  for_row_blocks(rows, k, [&](int64_t first, int64_t last) {
    std::vector<float> quantized(static_cast<size_t>(k));
    for (int64_t row = first; row < last; ++row) {
      quantize_planned_row(plan, k, w + row * k, quantized.data());
      errors[static_cast<size_t>(row)] =
          weighted_error(k, w + row * k, quantized.data(), weight + row * k);
    }
  });
  double total = 0;
  for (const double error : errors) total += error;
  return total;
}

void quantize_activations(ActivationFormat format, int64_t tokens, int64_t k, float* x) {
  switch (format) {
    case ActivationFormat::kBf16:
      for_row_blocks(tokens, k, [&](int64_t first, int64_t last) {
        round_to_bf16((last - first) * k, x + first * k, x + first * k);
      });
      return;
    case ActivationFormat::kInt8Token:
      quantize_tokens(IntElement{.low = broadcast(-128), .high = broadcast(127)}, 127, tokens, k,
                      x);
      return;
    case ActivationFormat::kFp8Token:
      quantize_tokens(kE4m3, kFp8E4m3FnMax, tokens, k, x);
      return;
  }
}

void quantize_kv(KvFormat format, int64_t vectors, int64_t head_dim, float* x) {
  if (format == KvFormat::kBf16) {
    quantize_activations(ActivationFormat::kBf16, vectors, head_dim, x);
    return;
  }
  const WeightFormat vector_format{
      .family = WeightFamily::kInt, .bits = format == KvFormat::kInt8 ? 8 : 4, .asymmetric = true};
  quantize_rows(vector_format, ScaleRule::kAbsmax, vectors, head_dim, x, x);
}

}  // namespace dovetail::formats
