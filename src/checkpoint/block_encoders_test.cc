#include "checkpoint/block_encoders.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "formats/element.h"

namespace dovetail::checkpoint {
namespace {

using model::TensorType;

std::vector<float> drawn(int64_t count, uint64_t seed, double mean = 0) {
  Random random(seed);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    double sum = -6;
    for (int draw = 0; draw < 12; ++draw) sum += random.uniform();
    values.push_back(static_cast<float>(0.02 * (sum + mean)));
  }
  return values;
}

std::vector<float> coded(TensorType type, int64_t rows, int64_t k, const std::vector<float>& w,
                         const float* importance = nullptr) {
  const auto blocks = encode_blocks(type, rows, k, w.data(), importance, "w");
  EXPECT_TRUE(blocks.has_value()) << blocks.error().message;
  std::vector<float> out(w.size());
  model::decode_blocks(type, *blocks, out);
  return out;
}

double squared_error(const std::vector<float>& a, const std::vector<float>& b,
                     const float* importance = nullptr, size_t period = 1) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += std::pow(double{a[i]} - b[i], 2) * (importance == nullptr ? 1 : importance[i % period]);
  return sum;
}

// Least error of 32 values over a dense grid of pairs (step, minimum) rounded to FP16.
double best_of_grid(const float* w, int codes, bool minimum_at_most_zero) {
  const auto [low, high] = std::minmax_element(w, w + 32);
  const double range = double{*high} - *low;
  double best = 1e300;
  for (int a = 0; a <= 60; ++a) {
    for (int b = 0; b <= 60; ++b) {
      double from = *low + range * 0.25 * a / 60;
      if (minimum_at_most_zero) from = std::min(from, 0.0);
      const double to = *high - range * 0.25 * b / 60;
      const double step =
          formats::decode_fp16(formats::encode_fp16(static_cast<float>((to - from) / (codes - 1))));
      const double base = formats::decode_fp16(formats::encode_fp16(static_cast<float>(from)));
      double sum = 0;
      for (int i = 0; i < 32; ++i) {
        double nearest = 1e300;
        for (int q = 0; q < codes; ++q)
          nearest = std::min(nearest, std::fabs(w[i] - (base + step * q)));
        sum += nearest * nearest;
      }
      best = std::min(best, sum);
    }
  }
  return best;
}

TEST(BlockEncoders, Q41IsWithinAPercentOfADenseSearch) {
  for (const double mean : {0.0, 3.0, -5.0}) {
    const std::vector<float> w = drawn(32 * 8, 3, mean);
    const std::vector<float> back = coded(TensorType::kQ4_1, 1, 32 * 8, w);
    double reference = 0;
    for (int block = 0; block < 8; ++block) reference += best_of_grid(&w[32 * block], 16, false);
    EXPECT_LT(squared_error(w, back), 1.01 * reference);
  }
}

TEST(BlockEncoders, Q4KIsNearADenseSearchOfEachSubBlockAlone) {
  // The grid has a step and a minimum of full FP16 for each sub-block; two levels cost a little.
  for (const double mean : {0.0, 1.0}) {
    const std::vector<float> w = drawn(256 * 2, 4, mean);
    const std::vector<float> back = coded(TensorType::kQ4_K, 1, 256 * 2, w);
    double reference = 0;
    for (int block = 0; block < 16; ++block) reference += best_of_grid(&w[32 * block], 16, true);
    EXPECT_LT(squared_error(w, back), 1.05 * reference);
  }
}

TEST(BlockEncoders, Q6KIsNearADenseSearchOfEachSubBlockAlone) {
  const std::vector<float> w = drawn(256 * 2, 5);
  const std::vector<float> back = coded(TensorType::kQ6_K, 2, 256, w);
  double reference = 0;
  for (size_t start = 0; start < w.size(); start += 16) {
    double largest = 0;
    for (size_t i = start; i < start + 16; ++i)
      largest = std::max(largest, std::fabs(double{w[i]}));
    double best = 1e300;
    for (int a = -800; a <= 800; ++a) {
      const double step = largest / 31 * a / 600;
      if (step == 0) continue;
      double sum = 0;
      for (size_t i = start; i < start + 16; ++i) {
        const double code = std::clamp(std::nearbyint(w[i] / step), -32.0, 31.0);
        sum += std::pow(w[i] - step * code, 2);
      }
      best = std::min(best, sum);
    }
    reference += best;
  }
  EXPECT_LT(squared_error(w, back), 1.15 * reference);
}

TEST(BlockEncoders, ImportanceMovesTheErrorToWhereItCountsLittle) {
  const std::vector<float> w = drawn(256 * 8, 6);
  std::vector<float> importance(256);
  for (size_t i = 0; i < importance.size(); ++i) importance[i] = i % 2 == 0 ? 1.0F : 0.01F;
  for (const TensorType type : {TensorType::kQ4_1, TensorType::kQ4_K, TensorType::kQ6_K}) {
    const auto plain = coded(type, 8, 256, w);
    const auto weighted = coded(type, 8, 256, w, importance.data());
    EXPECT_LT(squared_error(w, weighted, importance.data(), 256),
              squared_error(w, plain, importance.data(), 256));
  }
}

TEST(BlockEncoders, ZerosConstantsAndExtremesStayFinite) {
  for (const TensorType type : {TensorType::kQ4_1, TensorType::kQ4_K, TensorType::kQ6_K}) {
    const std::vector<float> zeros(256, 0.0F);
    EXPECT_EQ(coded(type, 1, 256, zeros), zeros);
    const std::vector<float> tiny(256, 1e-30F);
    const std::vector<float> huge(256, -3e37F);
    for (const auto& w : {tiny, huge})
      for (const float value : coded(type, 1, 256, w)) EXPECT_TRUE(std::isfinite(value));
  }
  const std::vector<float> ones(256, 1.0F);
  for (const float value : coded(TensorType::kQ4_1, 1, 256, ones)) EXPECT_NEAR(value, 1, 1e-3);
}

TEST(BlockEncodersError, NamesOutsideTheListAreRefused) {
  EXPECT_EQ(parse_gguf_type("q6_k").value(), TensorType::kQ6_K);
  EXPECT_NE(parse_gguf_type("q2_k").error().message.find("want one of q4_0, q4_1, q5_0"),
            std::string::npos);
}

}  // namespace
}  // namespace dovetail::checkpoint
