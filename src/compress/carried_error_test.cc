#include "compress/carried_error.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compress/tiny_model.h"

namespace dovetail::compress {
namespace {

constexpr size_t kTokens = 400;
constexpr size_t kN = 6;
constexpr size_t kK = 12;

// Inputs and what arrives in their place: noise and a leak between neighbours.
struct Case {
  model::Matrix w;
  std::vector<float> x, arriving;  // (tokens, k)
  std::vector<float> h, cross, original;
};

std::vector<float> moments(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> sum(kK * kK);
  for (size_t i = 0; i < kK; ++i)
    for (size_t j = 0; j < kK; ++j) {
      double total = 0;
      for (size_t t = 0; t < kTokens; ++t)
        total += static_cast<double>(a[t * kK + i]) * static_cast<double>(b[t * kK + j]);
      sum[i * kK + j] = static_cast<float>(total / kTokens);
    }
  return sum;
}

Case make_case() {
  Random random(3);
  Case c{.w = random_matrix(kN, kK, 1.0, random),
         .x = random_values(kTokens * kK, 1.0, random),
         .arriving = {},
         .h = {},
         .cross = {},
         .original = {}};
  const std::vector<float> noise = random_values(kTokens * kK, .2, random);
  for (size_t i = 0; i < c.x.size(); ++i)
    c.arriving.push_back(.8F * c.x[i] + .3F * c.x[i % kK == 0 ? i : i - 1] + noise[i]);
  c.h = moments(c.arriving, c.arriving);
  c.cross = moments(c.x, c.arriving);
  c.original = moments(c.x, c.x);
  return c;
}

// E |W x - V x^|^2 over E |W x|^2, token by token.
double slow_error(const Case& c, const std::vector<float>& v) {
  double error = 0;
  double output = 0;
  for (size_t t = 0; t < kTokens; ++t)
    for (size_t row = 0; row < kN; ++row) {
      double y = 0;
      double written = 0;
      for (size_t j = 0; j < kK; ++j) {
        y += static_cast<double>(c.w.values[row * kK + j]) * static_cast<double>(c.x[t * kK + j]);
        written +=
            static_cast<double>(v[row * kK + j]) * static_cast<double>(c.arriving[t * kK + j]);
      }
      error += (y - written) * (y - written);
      output += y * y;
    }
  return error / output;
}

TEST(CarriedError, TheWholeCorrectionIsTheLeastSquaresSolution) {
  const Case c = make_case();
  const auto found =
      correct_carried_error({.fraction = 1, .damping_frac = 1e-6}, c.w, c.h, c.cross, c.original);
  ASSERT_TRUE(found.has_value()) << found.error().message;
  const double least = slow_error(c, found->target.values);
  EXPECT_NEAR(found->corrected_frac, least, 1e-4);
  EXPECT_NEAR(found->carried_frac, slow_error(c, c.w.values), 1e-4);
  EXPECT_LT(least, .6 * found->carried_frac);
  // No weight can be moved with gain.
  for (size_t at = 0; at < kN * kK; ++at)
    for (const float step : {-.02F, .02F}) {
      std::vector<float> other = found->target.values;
      other[at] += step;
      EXPECT_GT(slow_error(c, other), least);
    }
}

TEST(CarriedError, PartsOfTheCorrectionLieBetween) {
  const Case c = make_case();
  double last = slow_error(c, c.w.values);
  for (const double fraction : {.25, .5, .75, 1.0}) {
    const auto found = correct_carried_error({.fraction = fraction}, c.w, c.h, c.cross);
    const double error = slow_error(c, found->target.values);
    EXPECT_LT(error, last) << fraction;
    last = error;
  }
  EXPECT_EQ(correct_carried_error({.fraction = 0}, c.w, c.h, c.cross)->target.values, c.w.values);
  // Where inputs arrive as they were there is nothing to correct.
  const auto same = correct_carried_error({.fraction = 1}, c.w, c.h, c.h);
  EXPECT_EQ(same->target.values, c.w.values);
}

TEST(CarriedErrorError, WrongParametersAndMomentsAreNamed) {
  Case c = make_case();
  const auto message = [&](const CarriedErrorParams& params) {
    return correct_carried_error(params, c.w, c.h, c.cross).error().message;
  };
  EXPECT_EQ(message({.fraction = 2}), "carried error: fraction = 2, want 0..1");
  EXPECT_EQ(message({.damping_frac = 0}),
            "carried error: damping_frac = 0, want above 0, at most 1");
  c.cross[4] = std::nanf("");
  EXPECT_EQ(message({}), "carried error: C is not finite");
  c.h.pop_back();
  EXPECT_EQ(message({}), "carried error: H has 143 values, want 12 x 12");
}

}  // namespace
}  // namespace dovetail::compress
