#include "compress/gptq.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "formats/quantize.h"

namespace dovetail::compress {
namespace {

formats::WeightFormat weight(std::string_view name) {
  return formats::parse_weight_format(name).value();
}

// Inputs whose channels lean on each other, as a layer's do.
struct Case {
  model::Matrix w;
  std::vector<float> x;  // (tokens, k)
  std::vector<float> h;
};

Case make_case(int64_t n, int64_t k, int64_t tokens, uint64_t seed) {
  Random random(seed);
  const auto draw = [&] { return static_cast<float>(random.uniform() + random.uniform() - 1); };
  Case made{.w = {n, k, {}}, .x = {}, .h = std::vector<float>(static_cast<size_t>(k * k))};
  for (int64_t i = 0; i < n * k; ++i) made.w.values.push_back(draw());
  for (int64_t t = 0; t < tokens; ++t) {
    const float common = draw();
    for (int64_t j = 0; j < k; ++j)
      made.x.push_back((draw() + common) * (j % 17 == 3 ? 4.0F : 1.0F));
  }
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < k; ++j) {
      double sum = 0;
      for (int64_t t = 0; t < tokens; ++t)
        sum += static_cast<double>(made.x[static_cast<size_t>(t * k + i)]) *
               static_cast<double>(made.x[static_cast<size_t>(t * k + j)]);
      made.h[static_cast<size_t>(i * k + j)] =
          static_cast<float>(sum / static_cast<double>(tokens));
    }
  return made;
}

// The definition, one column and one row at a time in double, with an inverse by Gauss-Jordan that
// is cut down after every column (optimal brain surgeon), no factor, no blocks.
std::vector<double> slow_gptq(const formats::WeightFormat& format, const GptqParams& params,
                              const Case& c) {
  const int64_t k = c.w.cols;
  std::vector<int64_t> order(static_cast<size_t>(k));
  std::iota(order.begin(), order.end(), 0);
  const auto h = [&](int64_t i, int64_t j) -> double {
    return c.h[static_cast<size_t>(i * k + j)];
  };
  if (params.activation_order)
    std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return h(a, a) > h(b, b); });
  double mean = 0;
  for (int64_t j = 0; j < k; ++j) mean += h(j, j) / static_cast<double>(k);
  std::vector<std::vector<double>> a(static_cast<size_t>(k));
  std::vector<std::vector<double>> inverse = a;
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < k; ++j) {
      a[static_cast<size_t>(i)].push_back(
          h(order[static_cast<size_t>(i)], order[static_cast<size_t>(j)]) +
          (i == j ? params.damping_frac * mean : 0));
      inverse[static_cast<size_t>(i)].push_back(i == j ? 1 : 0);
    }
  for (size_t p = 0; p < a.size(); ++p) {
    const double pivot = a[p][p];
    for (size_t j = 0; j < a.size(); ++j) {
      a[p][j] /= pivot;
      inverse[p][j] /= pivot;
    }
    for (size_t i = 0; i < a.size(); ++i) {
      if (i == p) continue;
      const double factor = a[i][p];
      for (size_t j = 0; j < a.size(); ++j) {
        a[i][j] -= factor * a[p][j];
        inverse[i][j] -= factor * inverse[p][j];
      }
    }
  }
  std::vector<float> importance;
  for (int64_t j = 0; j < k; ++j) importance.push_back(static_cast<float>(h(j, j)));
  const formats::MatrixScales scales =
      formats::scales_of(format, params.rounding, c.w.rows, k, c.w.values.data(),
                         params.weigh_scales ? importance.data() : nullptr);
  std::vector<double> w(c.w.values.begin(), c.w.values.end());
  for (size_t p = 0; p < order.size(); ++p) {
    const int64_t column = order[p];
    std::vector<float> now(w.begin(), w.end());
    std::vector<float> rounded(now.size());
    formats::round_rows(format, params.rounding.ties, scales, c.w.rows, k, now.data(),
                        rounded.data());
    for (int64_t row = 0; row < c.w.rows; ++row) {
      const auto at = static_cast<size_t>(row * k + column);
      const double error = (w[at] - static_cast<double>(rounded[at])) / inverse[p][p];
      w[at] = rounded[at];
      for (size_t later = p + 1; later < order.size(); ++later)
        w[static_cast<size_t>(row * k + order[later])] -= error * inverse[p][later];
    }
    // The inverse of H without this column.
    for (size_t i = p + 1; i < order.size(); ++i)
      for (size_t j = p + 1; j < order.size(); ++j)
        inverse[i][j] -= inverse[i][p] * inverse[p][j] / inverse[p][p];
  }
  return w;
}

TEST(Gptq, MatchesTheDefinitionButForRoundingAtTies) {
  for (const char* name : {"int4_g32", "int3_asym_g16", "mxfp4", "nvfp4", "nf4_g32", "int8"})
    for (const bool activation_order : {true, false}) {
      const Case c = make_case(6, 48, 200, 3);
      const GptqParams params{.activation_order = activation_order};
      const auto found = gptq(weight(name), params, c.w, c.h);
      ASSERT_TRUE(found.has_value()) << found.error().message;
      const std::vector<double> want = slow_gptq(weight(name), params, c);
      int64_t different = 0;
      for (size_t i = 0; i < want.size(); ++i)
        different += std::fabs(static_cast<double>(found->values[i]) - want[i]) > 1e-5 ? 1 : 0;
      EXPECT_LE(different, 3) << name;  // FP32 against double: a code may fall the other way
    }
}

TEST(Gptq, ManyBlocksAndPanelsLowerTheOutputError) {
  const Case c = make_case(130, 300, 900, 4);
  for (const char* name : {"int4_g128", "int3_asym_g64", "int2_asym_g64", "mxfp4", "nvfp4",
                           "fp8_e4m3fn", "lut3_g64", "int4_qoq_g64", "int4_g64_2:4"}) {
    const auto found = gptq(weight(name), {}, c.w, c.h);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    const GptqStats& stats = found->stats;
    EXPECT_LT(stats.error_frac, .8 * stats.rounded_error_frac) << name;
    // The stated error is that of the outputs themselves.
    double error = 0;
    double output = 0;
    for (int64_t t = 0; t < 900; ++t)
      for (int64_t row = 0; row < c.w.rows; ++row) {
        double y = 0;
        double d = 0;
        for (int64_t j = 0; j < c.w.cols; ++j) {
          const double x = c.x[static_cast<size_t>(t * c.w.cols + j)];
          const auto at = static_cast<size_t>(row * c.w.cols + j);
          y += x * static_cast<double>(c.w.values[at]);
          d += x * static_cast<double>(c.w.values[at] - found->values[at]);
        }
        output += y * y;
        error += d * d;
      }
    EXPECT_NEAR(stats.error_frac, error / output, 1e-3 * error / output) << name;
    // What it wrote are codes of the format.
    const auto packed = formats::encode_with(weight(name), formats::Ties::kEven, found->scales,
                                             c.w.rows, c.w.cols, found->values.data());
    EXPECT_EQ(formats::decode_rows(packed).value(), found->values) << name;
  }
}

TEST(Gptq, DeadColumnsAreRoundedAsTheyAre) {
  Case c = make_case(8, 40, 100, 5);
  for (int64_t j = 0; j < 40; ++j) c.h[static_cast<size_t>(7 * 40 + j)] = 0;
  for (int64_t j = 0; j < 40; ++j) c.h[static_cast<size_t>(j * 40 + 7)] = 0;
  const auto found = gptq(weight("int4_g32"), {.weigh_scales = false}, c.w, c.h);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->stats.num_dead_columns, 1);
  std::vector<float> nearest(c.w.values.size());
  formats::quantize_rows(weight("int4_g32"), {}, 8, 40, c.w.values.data(), nearest.data());
  for (int64_t row = 0; row < 8; ++row)
    EXPECT_EQ(found->values[static_cast<size_t>(row * 40 + 7)],
              nearest[static_cast<size_t>(row * 40 + 7)]);
}

TEST(GptqError, WrongDampingSizesAndMomentsAreRefused) {
  const Case c = make_case(4, 16, 50, 6);
  EXPECT_EQ(gptq(weight("int4"), {.damping_frac = 0}, c.w, c.h).error().message,
            "gptq: damping_frac = 0, want above 0, at most 1");
  EXPECT_EQ(gptq(weight("int4"), {}, c.w, std::vector<float>(9)).error().message,
            "gptq: the second moments have 9 values, want 16 x 16");
  std::vector<float> spoilt = c.h;
  spoilt[5] = std::nanf("");
  EXPECT_EQ(gptq(weight("int4"), {}, c.w, spoilt).error().code, ErrorCode::kInvalidArgument);
  std::vector<float> indefinite(256, 0.0F);
  for (int64_t i = 0; i < 16; ++i) indefinite[static_cast<size_t>(i * 17)] = 1;
  indefinite[1] = indefinite[16] = 5;
  EXPECT_EQ(gptq(weight("int4"), {}, c.w, indefinite).error().code, ErrorCode::kInvalidArgument);
  // Nearly definite: damping is raised and stated.
  indefinite[1] = indefinite[16] = 1.05F;
  const auto damped = gptq(weight("int4"), {}, c.w, indefinite);
  ASSERT_TRUE(damped.has_value());
  EXPECT_NEAR(damped->stats.damping_frac, .1, 1e-12);
}

}  // namespace
}  // namespace dovetail::compress
