#include "compress/bias_correction.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compress/tiny_model.h"
#include "formats/quantize.h"

namespace dovetail::compress {
namespace {

// Mean outputs over tokens themselves, before and after.
TEST(BiasCorrection, MeanOutputsAreThoseOfTheOriginal) {
  constexpr size_t kTokens = 50;
  constexpr size_t kN = 6;
  constexpr size_t kK = 32;
  Random random(1);
  const model::Matrix w = random_matrix(kN, kK, 1.0, random);
  std::vector<float> x = random_values(kTokens * kK, 1.0, random);
  std::vector<float> arriving = random_values(kTokens * kK, .1, random);
  std::vector<float> mean(kK), arriving_mean(kK);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] += .5F;
    arriving[i] += .9F * x[i];
    mean[i % kK] += x[i] / kTokens;
    arriving_mean[i % kK] += arriving[i] / kTokens;
  }
  std::vector<float> q(w.values.size());
  formats::quantize_rows(formats::parse_weight_format("int2_g16").value(), {}, kN, kK,
                         w.values.data(), q.data());
  const std::vector<float> before = random_values(kN, 1.0, random);
  std::vector<float> after = before;
  ASSERT_TRUE(correct_bias(w, q, mean, arriving_mean, after).has_value());
  for (size_t row = 0; row < kN; ++row) {
    double want = 0;
    double found = 0;
    for (size_t t = 0; t < kTokens; ++t) {
      want += static_cast<double>(before[row]) / kTokens;
      found += static_cast<double>(after[row]) / kTokens;
      for (size_t j = 0; j < kK; ++j) {
        want += static_cast<double>(w.values[row * kK + j]) * static_cast<double>(x[t * kK + j]) /
                kTokens;
        found += static_cast<double>(q[row * kK + j]) * static_cast<double>(arriving[t * kK + j]) /
                 kTokens;
      }
    }
    EXPECT_NEAR(found, want, 1e-5);
    EXPECT_GT(std::fabs(after[row] - before[row]), 1e-3F);
  }
}

TEST(BiasCorrectionError, NoBiasAndWrongSizesChangeNothing) {
  Random random(2);
  const model::Matrix w = random_matrix(2, 3, 1.0, random);
  std::vector<float> none;
  EXPECT_EQ(correct_bias(w, w.values, {1, 1, 1}, {1, 1, 1}, none).error().message,
            "bias correction: the linear has no bias");
  std::vector<float> bias = {1, 2};
  EXPECT_EQ(correct_bias(w, w.values, {1, 1}, {1, 1, 1}, bias).error().message,
            "bias correction: a mean of 2 inputs, want 3 finite numbers");
  EXPECT_EQ(correct_bias(w, {1}, {1, 1, 1}, {1, 1, 1}, bias).error().message,
            "bias correction: 2 biases and 1 values, want 2 and 2 x 3");
  EXPECT_EQ(bias, (std::vector<float>{1, 2}));
}

}  // namespace
}  // namespace dovetail::compress
