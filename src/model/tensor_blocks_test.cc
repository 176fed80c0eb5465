#include "model/tensor_blocks.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

namespace dovetail::model {
namespace {

// Oracle: the definition of binary16 in real arithmetic.
TEST(HalfToFloat, AllCodes) {
  for (int code = 0; code < 65536; ++code) {
    const int exponent = (code >> 10) & 31;
    const int fraction = code & 1023;
    const double sign = code >= 32768 ? -1 : 1;
    const float value = half_to_float(static_cast<uint16_t>(code));
    EXPECT_EQ(std::signbit(value), code >= 32768);
    if (exponent == 31) {
      EXPECT_EQ(std::isinf(value), fraction == 0);
      EXPECT_EQ(std::isnan(value), fraction != 0);
    } else {
      const double magnitude = exponent == 0 ? fraction * std::pow(2.0, -24)
                                             : (1024 + fraction) * std::pow(2.0, exponent - 25);
      ASSERT_EQ(static_cast<double>(value), sign * magnitude) << code;
    }
  }
}

TEST(TensorTypes, TableIsInTheOrderOfTheEnum) {
  for (const TensorTypeFacts& facts : kTensorTypes) {
    EXPECT_EQ(facts_of(facts.type).name, facts.name);
    EXPECT_EQ(tensor_type_of_ggml(facts.ggml_id), facts.type);
  }
  EXPECT_FALSE(tensor_type_of_ggml(16).has_value());
}

}  // namespace
}  // namespace dovetail::model
