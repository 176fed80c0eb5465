#include "compress/coordinate_descent.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "formats/codec.h"
#include "formats/quantize.h"

namespace dovetail::compress {
namespace {

formats::WeightFormat weight(std::string_view name) {
  return formats::parse_weight_format(name).value();
}

struct Case {
  model::Matrix w;
  std::vector<float> h;
};

// Moments of inputs whose channels lean on each other.
Case make_case(int64_t n, int64_t k, int64_t tokens, uint64_t seed) {
  Random random(seed);
  const auto draw = [&] { return random.uniform() + random.uniform() - 1; };
  Case made{.w = {n, k, {}}, .h = std::vector<float>(static_cast<size_t>(k * k))};
  for (int64_t i = 0; i < n * k; ++i) made.w.values.push_back(static_cast<float>(draw()));
  std::vector<double> sum(made.h.size());
  std::vector<double> x(static_cast<size_t>(k));
  for (int64_t t = 0; t < tokens; ++t) {
    const double common = draw();
    for (size_t j = 0; j < x.size(); ++j)
      x[j] = (draw() + .7 * common) * (j % 17 == 3 ? 4 : 1) * (j == 5 ? 0 : 1);
    for (size_t i = 0; i < x.size(); ++i)
      for (size_t j = 0; j < x.size(); ++j) sum[i * x.size() + j] += x[i] * x[j];
  }
  for (size_t i = 0; i < sum.size(); ++i)
    made.h[i] = static_cast<float>(sum[i] / static_cast<double>(tokens));
  return made;
}

// E |(W - Q) x|^2 over E |W x|^2 in double, element by element.
double slow_error(const Case& c, const std::vector<float>& q) {
  double error = 0;
  double output = 0;
  for (int64_t row = 0; row < c.w.rows; ++row)
    for (int64_t i = 0; i < c.w.cols; ++i)
      for (int64_t j = 0; j < c.w.cols; ++j) {
        const auto a = static_cast<size_t>(row * c.w.cols + i);
        const auto b = static_cast<size_t>(row * c.w.cols + j);
        const auto h = static_cast<double>(c.h[static_cast<size_t>(i * c.w.cols + j)]);
        const auto off = [&](size_t at) {
          return static_cast<double>(c.w.values[at]) - static_cast<double>(q[at]);
        };
        error += off(a) * h * off(b);
        output += static_cast<double>(c.w.values[a]) * h * static_cast<double>(c.w.values[b]);
      }
  return error / output;
}

TEST(CoordinateDescent, LowersTheErrorOfGptqStepByStepForEveryKindOfScale) {
  const Case c = make_case(70, 160, 400, 4);
  for (const char* name : {"int2_g64", "int3_g64", "int4_g128", "int2_asym_g32", "int4",
                           "int4_b128", "ternary_g64", "mxfp4", "mxint8", "nvfp4", "fp8_e4m3fn_g64",
                           "lut3_g64", "nf4_g32", "int4_qoq_g64", "int4_g64_2:4"}) {
    const auto start = gptq(weight(name), {}, c.w, c.h);
    ASSERT_TRUE(start.has_value()) << start.error().message;
    const auto found =
        refine(weight(name), {.min_gain_frac = 0}, c.w, c.h, start->values, start->scales);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    const std::vector<double>& errors = found->stats.error_frac;
    EXPECT_NEAR(errors.front(), start->stats.error_frac, 1e-3 * errors.front()) << name;
    ASSERT_GE(errors.size(), 2U);
    for (size_t i = 1; i < errors.size(); ++i) EXPECT_LE(errors[i], errors[i - 1]) << name;
    EXPECT_LT(errors.back(), .98 * errors.front()) << name;
    EXPECT_NEAR(errors.back(), slow_error(c, found->values), 1e-3 * errors.back()) << name;
    // What it wrote are codes of the format, under scales that the format stores.
    const auto packed = formats::encode_with(weight(name), formats::Ties::kEven, found->scales,
                                             c.w.rows, c.w.cols, found->values.data());
    EXPECT_EQ(formats::decode_rows(packed).value(), found->values) << name;
    EXPECT_EQ(formats::unpack_scales(packed).scale, found->scales.scale) << name;
  }
}

// No single code can be changed to the next one with gain: the definition of where descent ends.
TEST(CoordinateDescent, EndsWhereNoSingleCodeHelps) {
  const Case c = make_case(3, 32, 100, 5);
  const formats::WeightFormat format = weight("int3_g16");
  const auto start = gptq(format, {}, c.w, c.h);
  const auto found =
      refine(format, {.sweeps = 200, .min_gain_frac = 0}, c.w, c.h, start->values, start->scales);
  ASSERT_TRUE(found.has_value()) << found.error().message;
  const double least = slow_error(c, found->values);
  for (size_t at = 0; at < found->values.size(); ++at) {
    const float scale = found->scales.scale[at / 16];
    for (const float step : {-1.0F, 1.0F}) {
      const float code = std::round(found->values[at] / scale) + step;
      if (code < -4 || code > 3) continue;
      std::vector<float> other = found->values;
      other[at] = code * scale;
      EXPECT_GE(slow_error(c, other), least * (1 - 1e-6)) << at;
    }
  }
}

// Rows of six codes of four values: all of them under a fine grid of scales.
TEST(CoordinateDescent, ComesNearTheBestOfAllCodesOfASmallGroup) {
  const Case c = make_case(12, 6, 60, 6);
  const formats::WeightFormat format = weight("int2_g16");
  std::vector<float> start(c.w.values.size());
  const auto scales = formats::choose_scales(format, {}, 12, 6, c.w.values.data());
  formats::round_rows(format, formats::Ties::kEven, scales, 12, 6, c.w.values.data(), start.data());
  const auto found = refine(format, {.sweeps = 50, .min_gain_frac = 0}, c.w, c.h, start, scales);
  ASSERT_TRUE(found.has_value()) << found.error().message;
  std::vector<float> best(start.size());
  for (size_t row = 0; row < 12; ++row) {
    Case one{.w = {1,
                   6,
                   {c.w.values.begin() + static_cast<int64_t>(row * 6),
                    c.w.values.begin() + static_cast<int64_t>(row * 6 + 6)}},
             .h = c.h};
    double least = std::numeric_limits<double>::infinity();
    for (int s = 40; s <= 160; s += 2)
      for (int codes = 0; codes < 4096; ++codes) {
        std::vector<float> values;
        for (int j = 0; j < 6; ++j)
          values.push_back(static_cast<float>((codes >> (2 * j)) % 4 - 2) * scales.scale[row] *
                           static_cast<float>(s) / 100);
        const double error = slow_error(one, values);
        if (error >= least) continue;
        least = error;
        std::ranges::copy(values, best.begin() + static_cast<int64_t>(row * 6));
      }
  }
  EXPECT_LT(slow_error(c, found->values), 1.4 * slow_error(c, best));
  EXPECT_LT(slow_error(c, found->values), .8 * slow_error(c, start));
}

TEST(CoordinateDescentError, WrongSizesSweepsAndMomentsAreRefused) {
  const Case c = make_case(4, 16, 50, 6);
  const auto start = gptq(weight("int4"), {}, c.w, c.h);
  const auto message = [&](const char* format, const RefineParams& params,
                           const std::vector<float>& h, const std::vector<float>& values) {
    return refine(weight(format), params, c.w, h, values, start->scales).error().message;
  };
  EXPECT_EQ(message("bf16", {}, c.h, start->values),
            "coordinate descent: format bf16, want one with codes");
  EXPECT_EQ(message("int4", {.sweeps = -1}, c.h, start->values),
            "coordinate descent: sweeps = -1, want 0..1000");
  EXPECT_EQ(message("int4", {}, std::vector<float>(9), start->values),
            "coordinate descent: the second moments have 9 values, want 16 x 16");
  EXPECT_EQ(message("int4", {}, c.h, {}), "coordinate descent: starts from 0 values, want 4 x 16");
  std::vector<float> spoilt = c.h;
  spoilt[5] = std::nanf("");
  EXPECT_EQ(message("int4", {}, spoilt, start->values),
            "coordinate descent: the second moments of the inputs are not finite");
}

}  // namespace
}  // namespace dovetail::compress
