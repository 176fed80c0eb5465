// The dot product of one output as a matrix unit computes it.
//
//   pair without bf16   products and their sum over a granule are exact integers
//   pair with bf16      the products of one dot (min(depth, granule) elements) are aligned to the
//                       largest shift among those that are not 0, truncated toward zero to
//                       align_bits, and summed as integers; every dot is a granule of its own
//   per granule         sum -> FP32 (nearest even) * weight scale -> * activation scale -> added to
//                       the output in FP32; no fused multiply-add, subnormals kept
//   order               granules in ascending k
//
// The last granule may be shorter: zeros change nothing. Letters: k reduction, g = granules.
#pragma once

#include <cstdint>
#include <span>

#include "arith/operand.h"
#include "base/result.h"

namespace dovetail::arith {

struct Pair {
  OperandType weight;
  OperandType activation;
};

// True if neither operand is bf16.
[[nodiscard]] bool sums_exactly(const Pair& pair);

struct DotUnit {
  Pair pair;
  int64_t depth = 16;       // elements of one dot, 1..1024
  int64_t granule = 32;     // elements that share a scale, 1..2^20
  int64_t align_bits = 24;  // magnitude bits of an aligned product, bits of the product..40
};

// Errors: kInvalidArgument naming field, value and range.
[[nodiscard]] Status check_unit(const DotUnit& unit);

// Elements summed as integers before the sum becomes FP32.
[[nodiscard]] int64_t elements_per_sum(const DotUnit& unit);
// Two's complement bits that hold every sum of the unit.
[[nodiscard]] int64_t sum_bits(const DotUnit& unit);

// sum * 2^exponent
struct IntegerSum {
  int64_t sum = 0;
  int32_t exponent = 0;
};

// One granule or dot, at most elements_per_sum(unit) elements; as many weights as activations.
[[nodiscard]] IntegerSum integer_sum(const DotUnit& unit, std::span<const Operand> weights,
                                     std::span<const Operand> activations);

// What a scale unit does with a sum: output + FP32(sum) * weight_scale * activation_scale.
[[nodiscard]] float scale_and_add(float output, const IntegerSum& sum, float weight_scale,
                                  float activation_scale);

// One output from its operands (k) and the scales of its granules (g = ceil(k / granule)); `output`
// is what stands in the accumulator before. The unit passes check_unit, the sizes agree.
[[nodiscard]] float dot(const DotUnit& unit, std::span<const Operand> weights,
                        std::span<const Operand> activations, std::span<const float> weight_scales,
                        std::span<const float> activation_scales, float output = 0);

}  // namespace dovetail::arith
