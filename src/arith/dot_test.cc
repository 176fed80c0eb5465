#include "arith/dot.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"
#include "formats/element.h"

namespace dovetail::arith {
namespace {

OperandType type_of(const std::string& name) {
  return *parse_operand_type(name);
}

Pair pair_of(const std::string& weight, const std::string& activation) {
  return {type_of(weight), type_of(activation)};
}

const std::vector<Pair>& pairs() {
  static const std::vector<Pair> all = [] {
    std::vector<Pair> list;
    for (const char* activation : {"int8", "int4", "fp4_e2m1", "fp8_e4m3fn", "bf16"})
      for (const char* weight : {"int2", "int3", "int4", "int5", "int6", "int8", "int9", "fp4_e2m1",
                                 "fp6_e2m3", "fp6_e3m2", "fp8_e4m3fn", "bf16"})
        list.push_back(pair_of(weight, activation));
    return list;
  }();
  return all;
}

std::string label(const DotUnit& unit) {
  const auto name = [](const OperandType& type) {
    return std::to_string(static_cast<int>(type.element)) + "/" + std::to_string(type.bits);
  };
  return name(unit.pair.weight) + " x " + name(unit.pair.activation) + " depth " +
         std::to_string(unit.depth) + " granule " + std::to_string(unit.granule);
}

int32_t random_code(Random& random, const OperandType& type) {
  if (type.element == formats::Element::kInt) {
    const int64_t high = (int64_t{1} << (type.bits - 1)) - 1;
    const int64_t low = type.bits == 9 ? -high : -high - 1;
    return static_cast<int32_t>(low + random.below(high - low + 1));
  }
  if (type.element != formats::Element::kBf16) {
    const int64_t codes = type.element == formats::Element::kFp4E2m1     ? 16
                          : type.element == formats::Element::kFp8E4m3Fn ? 256
                                                                         : 64;
    return static_cast<int32_t>(random.below(codes));
  }
  // Most exponents near each other, some far away (subnormals and zeros too); products stay finite.
  const int64_t near = 120 + random.below(14);
  const int64_t exponent = random.below(8) == 0 ? random.below(190) : near;
  const int64_t mantissa = random.below(4) == 0 ? 0 : random.below(128);
  return static_cast<int32_t>((random.below(2) << 15) | (exponent << 7) | mantissa);
}

// A code's value by the codec of formats/, which knows nothing of significands and shifts.
long double value_of(const OperandType& type, int32_t code) {
  if (type.element == formats::Element::kInt) return code;
  if (type.element == formats::Element::kBf16)
    return formats::decode_bf16(static_cast<uint16_t>(code));
  const float value = formats::decode_float(type.element, static_cast<uint8_t>(code));
  return std::isnan(value) ? ((code & 0x80) != 0 ? -480.0L : 480.0L) : value;
}

struct Vectors {
  std::vector<int32_t> weight_codes, activation_codes;
  std::vector<Operand> weights, activations;
  std::vector<float> weight_scales, activation_scales;
};

Vectors random_vectors(Random& random, const DotUnit& unit, int64_t k) {
  Vectors v;
  for (int64_t i = 0; i < k; ++i) {
    v.weight_codes.push_back(random_code(random, unit.pair.weight));
    v.activation_codes.push_back(random_code(random, unit.pair.activation));
    v.weights.push_back(operand_of_code(unit.pair.weight, v.weight_codes.back()));
    v.activations.push_back(operand_of_code(unit.pair.activation, v.activation_codes.back()));
  }
  for (int64_t g = 0; g * unit.granule < k; ++g) {
    v.weight_scales.push_back(static_cast<float>(random.uniform() - 0.3));
    v.activation_scales.push_back(static_cast<float>(random.uniform() * 0.01));
  }
  return v;
}

// Oracle: values instead of codes; exact sums in long double (64 bits of significand hold every
// exact sum of 1,024 products), alignment by the value of the last place that is kept.
long double aligned_oracle(const DotUnit& unit, const Vectors& v, int64_t first, int64_t end) {
  // 2^exponent of an operand's leading place: bf16 and fp8 by their exponent, integers fixed.
  const auto top = [](const OperandType& type, long double value) -> int {
    switch (type.element) {
      case formats::Element::kBf16:
        return std::max(std::ilogb(value), -126);
      case formats::Element::kFp8E4m3Fn:
        return std::max(std::ilogb(value), -6);
      case formats::Element::kFp4E2m1:
        return std::max(std::ilogb(value), 0);
      case formats::Element::kFp6E2m3:
        return std::max(std::ilogb(value), 0);
      case formats::Element::kFp6E3m2:
        return std::max(std::ilogb(value), -2);
      default:
        return static_cast<int>(type.bits == 9 ? 7 : type.bits - 1);
    }
  };
  int largest = -100000;
  std::vector<long double> products;
  for (int64_t i = first; i < end; ++i) {
    const auto at = static_cast<size_t>(i);
    const long double w = value_of(unit.pair.weight, v.weight_codes[at]);
    const long double a = value_of(unit.pair.activation, v.activation_codes[at]);
    products.push_back(w * a);
    if (w * a != 0)
      largest = std::max(largest, top(unit.pair.weight, w) + top(unit.pair.activation, a));
  }
  // The largest product lies below 2^(largest + 2); align_bits places are kept below that.
  const int last = largest + 2 - static_cast<int>(unit.align_bits);
  long double sum = 0;
  for (const long double product : products) sum += std::trunc(std::ldexp(product, -last));
  return std::ldexp(sum, last);
}

long double exact_oracle(const DotUnit& unit, const Vectors& v, int64_t first, int64_t end) {
  long double sum = 0;
  for (int64_t i = first; i < end; ++i) {
    const auto at = static_cast<size_t>(i);
    sum += value_of(unit.pair.weight, v.weight_codes[at]) *
           value_of(unit.pair.activation, v.activation_codes[at]);
  }
  return sum;
}

bool has_bf16(const Pair& pair) {
  return pair.weight.element == formats::Element::kBf16 ||
         pair.activation.element == formats::Element::kBf16;
}

float oracle(const DotUnit& unit, const Vectors& v) {
  float output = 0;
  const auto k = static_cast<int64_t>(v.weights.size());
  const int64_t step = has_bf16(unit.pair) ? std::min(unit.depth, unit.granule) : unit.granule;
  for (int64_t first = 0; first < k;) {
    const int64_t granule = first / unit.granule;
    const int64_t end = std::min({first + step, (granule + 1) * unit.granule, k});
    const long double sum = has_bf16(unit.pair) ? aligned_oracle(unit, v, first, end)
                                                : exact_oracle(unit, v, first, end);
    float scaled = static_cast<float>(sum);
    scaled *= v.weight_scales[static_cast<size_t>(granule)];
    scaled *= v.activation_scales[static_cast<size_t>(granule)];
    output += scaled;
    first = end;
  }
  return output;
}

float run(const DotUnit& unit, const Vectors& v) {
  return dot(unit, v.weights, v.activations, v.weight_scales, v.activation_scales);
}

TEST(Dot, EveryPairEqualsTheSlowReference) {
  Random random(3);
  for (const Pair& pair : pairs()) {
    for (int i = 0; i < 200; ++i) {
      const int64_t depth = int64_t{1} << random.below(7);
      DotUnit unit{.pair = pair, .depth = depth, .granule = int64_t{8} << random.below(6)};
      unit.align_bits = 16 + random.below(15);
      ASSERT_TRUE(check_unit(unit).has_value());
      const Vectors v = random_vectors(random, unit, 1 + random.below(300));
      ASSERT_EQ(std::bit_cast<uint32_t>(run(unit, v)), std::bit_cast<uint32_t>(oracle(unit, v)))
          << label(unit);
    }
  }
}

// The program's order of granules makes the value; how a pass cuts the reduction does not.
TEST(Dot, CuttingTheReductionAtGranulesNeverChangesAValue) {
  Random random(4);
  for (const Pair& pair : pairs()) {
    for (int i = 0; i < 20; ++i) {
      const DotUnit unit{.pair = pair, .depth = 16, .granule = 32};
      const Vectors v = random_vectors(random, unit, 256);
      const auto cut = static_cast<size_t>(random.below(8));
      const std::span<const Operand> w(v.weights), a(v.activations);
      const std::span<const float> ws(v.weight_scales), as(v.activation_scales);
      const float first =
          dot(unit, w.first(cut * 32), a.first(cut * 32), ws.first(cut), as.first(cut));
      const float whole = dot(unit, w.subspan(cut * 32), a.subspan(cut * 32), ws.subspan(cut),
                              as.subspan(cut), first);
      ASSERT_EQ(std::bit_cast<uint32_t>(whole), std::bit_cast<uint32_t>(run(unit, v)))
          << label(unit);
    }
  }
}

TEST(Dot, DepthDoesNotMatterToExactPairsNorAnyOrderInsideAGranule) {
  Random random(5);
  for (const Pair& pair : pairs()) {
    if (!sums_exactly(pair)) continue;
    DotUnit unit{.pair = pair, .depth = 8, .granule = 64};
    Vectors v = random_vectors(random, unit, 128);
    const float before = run(unit, v);
    unit.depth = 128;
    EXPECT_EQ(run(unit, v), before) << label(unit);
    std::swap(v.weights[3], v.weights[60]);
    std::swap(v.activations[3], v.activations[60]);
    EXPECT_EQ(run(unit, v), before) << label(unit);
  }
}

TEST(Dot, ZerosChangeNothing) {
  Random random(6);
  for (const Pair& pair : pairs()) {
    const DotUnit unit{.pair = pair, .depth = 16, .granule = 16};
    Vectors v = random_vectors(random, unit, 12);
    const float before = run(unit, v);
    for (int i = 0; i < 4; ++i) {  // a huge activation that meets a weight of zero too
      v.weights.push_back(Operand{.shift = max_shift(pair.weight)});
      v.activations.push_back({.significand = 1, .shift = max_shift(pair.activation)});
    }
    EXPECT_EQ(run(unit, v), before) << label(unit);
  }
}

TEST(Dot, AlignmentTruncatesTowardZeroByHand) {
  // 1 * 1 and -1.9921875 * 2^-8 with 16 bits: the first sets the place of 1 to bit 14, so the last
  // place is 2^-14; the second is -0.0077819824 = -127.5 places, truncated to -127.
  const DotUnit unit{.pair = pair_of("bf16", "bf16"), .depth = 2, .granule = 2, .align_bits = 16};
  const auto bf16 = [&](float x) {
    return operand_of_code(unit.pair.weight, formats::encode_bf16(x));
  };
  const std::vector<Operand> w = {bf16(1.0F), bf16(-1.9921875F)};
  const std::vector<Operand> a = {bf16(1.0F), bf16(0x1p-8F)};
  const IntegerSum sum = integer_sum(unit, w, a);
  EXPECT_EQ(sum.sum, (1 << 14) - 127);
  EXPECT_EQ(sum.exponent, -14);
}

TEST(Dot, SumsFitTheStatedWidth) {
  for (const Pair& pair : pairs()) {
    for (const int64_t granule : {16, 24, 128}) {
      const DotUnit unit{.pair = pair, .depth = 16, .granule = granule};
      const auto operand = [](const OperandType& type, bool negative) {
        return Operand{.negative = negative,
                       .significand = (1U << significand_bits(type)) - 1,
                       .shift = max_shift(type)};
      };
      const auto count = static_cast<size_t>(elements_per_sum(unit));
      const std::vector<Operand> w(count, operand(pair.weight, true));
      const std::vector<Operand> a(count, operand(pair.activation, false));
      const int64_t sum = integer_sum(unit, w, a).sum;
      EXPECT_LT(sum, 0) << label(unit);
      EXPECT_GE(sum, -(int64_t{1} << (sum_bits(unit) - 1))) << label(unit);
      EXPECT_LT(sum, -(int64_t{1} << (sum_bits(unit) - 3))) << label(unit);  // and no wider
    }
  }
}

TEST(DotError, NamesTheFieldAndItsRange) {
  const Pair bf16 = pair_of("bf16", "bf16");
  EXPECT_EQ(check_unit({.pair = bf16, .align_bits = 15}).error().message,
            "align_bits = 15, want 16..40");
  EXPECT_EQ(check_unit({.pair = bf16, .depth = 0}).error().message, "depth = 0, want 1..1024");
  EXPECT_EQ(check_unit({.pair = bf16, .granule = -1}).error().message,
            "granule = -1, want 1..1048576");
  EXPECT_TRUE(check_unit({.pair = pair_of("int4", "int8"), .align_bits = 0}).has_value());
}

}  // namespace
}  // namespace dovetail::arith
