#include "arith/dot.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "arith/fp32.h"

namespace dovetail::arith {
namespace {

constexpr int64_t kMaxDepth = 1024;
constexpr int64_t kMaxGranule = int64_t{1} << 20;
constexpr int64_t kMaxAlignBits = 40;  // with 2^10 elements still inside int64_t

int64_t product_significand_bits(const Pair& pair) {
  return significand_bits(pair.weight) + significand_bits(pair.activation);
}

int32_t product_fraction_bits(const Pair& pair) {
  return fraction_bits(pair.weight) + fraction_bits(pair.activation);
}

int64_t signed_value(bool negative, uint64_t magnitude) {
  const auto value = static_cast<int64_t>(magnitude);
  return negative ? -value : value;
}

IntegerSum exact_sum(const Pair& pair, std::span<const Operand> w, std::span<const Operand> a) {
  int64_t sum = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    const uint64_t product = uint64_t{w[i].significand} * a[i].significand;
    sum += signed_value(w[i].negative != a[i].negative,
                        product << static_cast<uint32_t>(w[i].shift + a[i].shift));
  }
  return {.sum = sum, .exponent = -product_fraction_bits(pair)};
}

IntegerSum aligned_sum(const DotUnit& unit, std::span<const Operand> w,
                       std::span<const Operand> a) {
  int32_t largest = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    const bool is_zero = w[i].significand == 0 || a[i].significand == 0;
    if (!is_zero) largest = std::max(largest, w[i].shift + a[i].shift);
  }
  const auto spare = static_cast<int32_t>(unit.align_bits - product_significand_bits(unit.pair));
  int64_t sum = 0;
  for (size_t i = 0; i < w.size(); ++i) {
    const uint64_t product = uint64_t{w[i].significand} * a[i].significand;
    if (product == 0) continue;
    const int32_t drop = std::min(largest - w[i].shift - a[i].shift, 63);
    sum += signed_value(w[i].negative != a[i].negative,
                        (product << static_cast<uint32_t>(spare)) >> static_cast<uint32_t>(drop));
  }
  return {.sum = sum, .exponent = largest - product_fraction_bits(unit.pair) - spare};
}

}  // namespace

bool sums_exactly(const Pair& pair) {
  return pair.weight.element != formats::Element::kBf16 &&
         pair.activation.element != formats::Element::kBf16;
}

Status check_unit(const DotUnit& unit) {
  const auto check = [](const char* key, int64_t value, int64_t low, int64_t high) -> Status {
    if (value >= low && value <= high) return {};
    return invalid_argument(fmt::format("{} = {}, want {}..{}", key, value, low, high));
  };
  DOVETAIL_TRY_STATUS(check("depth", unit.depth, 1, kMaxDepth));
  DOVETAIL_TRY_STATUS(check("granule", unit.granule, 1, kMaxGranule));
  if (sums_exactly(unit.pair)) return {};
  return check("align_bits", unit.align_bits, product_significand_bits(unit.pair), kMaxAlignBits);
}

int64_t elements_per_sum(const DotUnit& unit) {
  return sums_exactly(unit.pair) ? unit.granule : std::min(unit.depth, unit.granule);
}

int64_t sum_bits(const DotUnit& unit) {
  const int64_t product_bits = sums_exactly(unit.pair) ? product_significand_bits(unit.pair) +
                                                             max_shift(unit.pair.weight) +
                                                             max_shift(unit.pair.activation)
                                                       : unit.align_bits;
  const auto elements = static_cast<uint64_t>(elements_per_sum(unit));
  return product_bits + std::bit_width(elements - 1) + 1;
}

IntegerSum integer_sum(const DotUnit& unit, std::span<const Operand> weights,
                       std::span<const Operand> activations) {
  DOVETAIL_CHECK(weights.size() == activations.size());
  DOVETAIL_CHECK(static_cast<int64_t>(weights.size()) <= elements_per_sum(unit));
  return sums_exactly(unit.pair) ? exact_sum(unit.pair, weights, activations)
                                 : aligned_sum(unit, weights, activations);
}

float scale_and_add(float output, const IntegerSum& sum, float weight_scale,
                    float activation_scale) {
  const float granule = fp32_of_sum(sum.sum, sum.exponent);
  return fp32_add(output, fp32_multiply(fp32_multiply(granule, weight_scale), activation_scale));
}

float dot(const DotUnit& unit, std::span<const Operand> weights,
          std::span<const Operand> activations, std::span<const float> weight_scales,
          std::span<const float> activation_scales, float output) {
  DOVETAIL_CHECK(weights.size() == activations.size());
  const auto step = static_cast<size_t>(elements_per_sum(unit));
  const auto granule = static_cast<size_t>(unit.granule);
  for (size_t granule_start = 0; granule_start < weights.size(); granule_start += granule) {
    const size_t granule_end = std::min(granule_start + granule, weights.size());
    const size_t index = granule_start / granule;
    for (size_t k = granule_start; k < granule_end; k += step) {
      const size_t count = std::min(step, granule_end - k);
      const IntegerSum sum =
          integer_sum(unit, weights.subspan(k, count), activations.subspan(k, count));
      output = scale_and_add(output, sum, weight_scales[index], activation_scales[index]);
    }
  }
  return output;
}

}  // namespace dovetail::arith
