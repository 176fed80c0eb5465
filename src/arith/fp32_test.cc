#include "arith/fp32.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "base/random.h"

namespace dovetail::arith {
namespace {

float of_bits(uint64_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits));
}

uint32_t bits_of(float value) {
  return std::bit_cast<uint32_t>(value);
}

// Oracle: a long double holds any sum and any product of two floats exactly, and the processor
// rounds it once on the way to float.
float rounded(long double value) {
  return static_cast<float>(value);
}

TEST(Fp32OfSum, EqualsOneRoundingOfTheExactValue) {
  Random random(1);
  for (int i = 0; i < 300000; ++i) {
    const auto width = static_cast<uint32_t>(random.below(64));
    const auto sum = static_cast<int64_t>(random.next()) >> width;
    // Into subnormals, to zero and to infinity as well.
    const auto exponent = static_cast<int32_t>(random.below(420)) - 270;
    const float want = rounded(std::ldexp(static_cast<long double>(sum), exponent));
    ASSERT_EQ(bits_of(fp32_of_sum(sum, exponent)), bits_of(sum == 0 ? 0.0F : want))
        << sum << " * 2^" << exponent;
  }
}

TEST(Fp32OfSum, TiesGoToEvenAndCarriesCross) {
  EXPECT_EQ(fp32_of_sum((int64_t{1} << 24) + 1, 0), 0x1p24F);
  EXPECT_EQ(fp32_of_sum((int64_t{1} << 24) + 3, 0), 0x1.000004p24F);
  EXPECT_EQ(fp32_of_sum((int64_t{1} << 25) - 1, 0), 0x1p25F);
  EXPECT_EQ(fp32_of_sum(1, -149), 0x1p-149F);
  EXPECT_EQ(fp32_of_sum(1, -150), 0.0F);
  EXPECT_EQ(fp32_of_sum(3, -150), 0x1p-148F);
  EXPECT_EQ(fp32_of_sum((int64_t{1} << 24) - 1, -150), 0x1p-126F);  // subnormal to normal
  EXPECT_TRUE(std::isinf(fp32_of_sum((int64_t{1} << 24) - 1, 104) * 2));
  EXPECT_TRUE(std::isinf(fp32_of_sum((int64_t{1} << 25) - 1, 103)));
  EXPECT_EQ(bits_of(fp32_of_sum(0, 300)), 0U);
  EXPECT_EQ(fp32_of_sum(INT64_MIN, 0), -0x1p63F);
}

TEST(Fp32, MultiplyAndAddRoundOnceAndHaveOneNan) {
  Random random(2);
  for (int i = 0; i < 300000; ++i) {
    const float a = of_bits(random.next());
    const float b = of_bits(random.next());
    const float product = rounded(static_cast<long double>(a) * b);
    const float sum = static_cast<float>(static_cast<double>(a) + b);  // 53 >= 2 * 24 + 2 bits
    if (std::isnan(product)) {
      ASSERT_EQ(bits_of(fp32_multiply(a, b)), 0x7FC00000U);
    } else {
      ASSERT_EQ(bits_of(fp32_multiply(a, b)), bits_of(product));
    }
    if (std::isnan(sum)) {
      ASSERT_EQ(bits_of(fp32_add(a, b)), 0x7FC00000U);
    } else {
      ASSERT_EQ(bits_of(fp32_add(a, b)), bits_of(sum));
    }
  }
  EXPECT_EQ(fp32_multiply(0x1p-100F, 0x1p-49F), 0x1p-149F);  // subnormals are kept
  EXPECT_EQ(fp32_add(0x1p-149F, 0x1p-149F), 0x1p-148F);
}

}  // namespace
}  // namespace dovetail::arith
