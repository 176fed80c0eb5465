#include "compress/round_matrix.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compress/tiny_model.h"
#include "formats/quantize.h"

namespace dovetail::compress {
namespace {

recipe::LinearTreatment treatment(std::string_view name) {
  return recipe::parse_linear_treatment(name).value();
}

TEST(RoundMatrix, WithoutAnAlgorithmItIsQuantizeRows) {
  Random random(1);
  const model::Matrix w = random_matrix(24, 64, 1, random);
  for (const std::string name : {"int4_g32", "nvfp4", "int4_g32_2:4", "int8_tensor"}) {
    const auto made = round_matrix(treatment(name), {}, w, {});
    ASSERT_TRUE(made.has_value()) << made.error().message;
    std::vector<float> want(w.values.size());
    formats::quantize_rows(treatment(name).weight, {}, w.rows, w.cols, w.values.data(),
                           want.data());
    EXPECT_EQ(made->values, want) << name;
    EXPECT_FALSE(needs_moments(treatment(name)));
  }
}

TEST(RoundMatrix, WeighingLowersTheErrorAtTheOutput) {
  Random random(2);
  const model::Matrix w = random_matrix(24, 64, 1, random);
  std::vector<float> moments(64 * 64);
  for (int64_t j = 0; j < 64; ++j)
    moments[static_cast<size_t>(j * 65)] = std::exp(3.0F * static_cast<float>(random.uniform()));
  for (const std::string name : {"int3_g32", "int2_asym_g16"}) {
    const auto plain = round_matrix(treatment(name), {}, w, {});
    const auto weighed = round_matrix(treatment(name + "_imatrix"), {}, w, moments);
    ASSERT_TRUE(plain.has_value() && weighed.has_value());
    const double error = output_error_frac(w, weighed->values, moments);
    EXPECT_LT(error, output_error_frac(w, plain->values, moments)) << name;
    EXPECT_NEAR(weighed->stats.error_frac, error, 1e-9);
    EXPECT_TRUE(needs_moments(treatment(name + "_imatrix")));
  }
}

}  // namespace
}  // namespace dovetail::compress
