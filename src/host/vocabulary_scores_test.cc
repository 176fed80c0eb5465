#include "host/vocabulary_scores.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/random.h"
#include "host/lanes.h"
#include "host/slow_model.h"

namespace dovetail::host {
namespace {

std::shared_ptr<const model::Weights> tiny(const TinyModel& model, uint64_t seed) {
  return std::make_shared<const model::Weights>(make_tiny_weights(model, seed));
}

HostModel must_create(std::shared_ptr<const model::Weights> weights) {
  auto model = HostModel::create(std::move(weights));
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return std::move(model).value();
}

TEST(ExpLanes, StaysWithinItsStatedError) {
  for (double x = -87.0; x <= 88.0; x += 0.0137) {
    const auto narrow = static_cast<float>(x);
    FloatLanes f = FloatLanes{} + narrow;
    DoubleLanes d = DoubleLanes{} + x;
    exp_lanes(f);
    exp_lanes(d);
    const double exact = std::exp(static_cast<double>(narrow));
    ASSERT_LE(std::abs(static_cast<double>(f[5]) - exact), 3e-7 * exact) << x;
    ASSERT_LE(std::abs(d[5] - std::exp(x)), 1e-15 * std::exp(x)) << x;
  }
  FloatLanes zero{};
  exp_lanes(zero);
  EXPECT_EQ(zero[0], 1.0F);
  DoubleLanes low = DoubleLanes{} - 1e30;
  exp_lanes(low);
  EXPECT_LT(low[0], 1e-300);
}

TEST(SummarizeRow, FindsTheFirstBestAndTheSum) {
  for (const int64_t n : {1, 15, 16, 17, 1000}) {
    std::vector<float> logits;
    Random random(static_cast<uint64_t>(n));
    for (int64_t i = 0; i < n; ++i) {
      logits.push_back(static_cast<float>(40.0 * random.uniform() - 60.0));
    }
    logits.back() = *std::max_element(logits.begin(), logits.end());
    double sum = 0.0;
    for (const float x : logits) sum += std::exp(static_cast<double>(x));
    const RowSummary summary = summarize_row(n, logits.data());
    EXPECT_NEAR(summary.log_sum_exp, std::log(sum), 1e-12 * std::abs(std::log(sum)));
    EXPECT_EQ(summary.best, std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
}

TEST(SampleRow, InvertsTheCumulativeDistribution) {
  // Long enough for several blocks of the two-pass search.
  constexpr int64_t kSize = 5003;
  std::vector<float> logits;
  Random random(7);
  for (int64_t i = 0; i < kSize; ++i) logits.push_back(static_cast<float>(6.0 * random.uniform()));
  for (const double temperature : {1.0, 0.7}) {
    double total = 0.0;
    for (const float x : logits) total += std::exp(static_cast<double>(x) / temperature);
    for (double u = 0.0; u < 1.0; u += 0.00103) {
      const int64_t chosen = sample_row(kSize, logits.data(), temperature, u);
      double below = 0.0;
      for (int64_t i = 0; i < chosen; ++i) {
        below += std::exp(static_cast<double>(logits[static_cast<size_t>(i)]) / temperature);
      }
      const double above =
          below + std::exp(static_cast<double>(logits[static_cast<size_t>(chosen)]) / temperature);
      ASSERT_LE(below / total, u + 1e-12);
      ASSERT_GT(above / total, u - 1e-12);
    }
  }
}

TEST(KlDivergence, MatchesItsDefinitionDownToTinyValues) {
  const TinyModel shape{.vocab = 1003};
  const auto weights = tiny(shape, 15);
  const HostModel reference = must_create(weights);
  const TokenBatch tokens{1, 70, random_ids(70, shape.vocab, 16)};
  const auto hidden = reference.hidden_states(tokens);
  ASSERT_TRUE(hidden.has_value());
  const auto p = reference.logits(hidden.value());
  ASSERT_TRUE(p.has_value());
  for (const double scale : {1.0, 1e-2, 1e-4}) {
    model::Matrix moved = hidden.value();
    Random random(17);
    for (float& value : moved.values) value += static_cast<float>(scale * (random.uniform() - 0.5));
    const auto kl = kl_divergence(reference, hidden.value(), reference, moved);
    const auto from_logits = kl_divergence(p.value(), reference, moved);
    ASSERT_TRUE(kl.has_value() && from_logits.has_value());
    EXPECT_EQ(kl->top1_agree, from_logits->top1_agree);
    const auto q = reference.logits(moved);
    ASSERT_TRUE(q.has_value());
    int64_t agree = 0;
    for (size_t t = 0; t < 70; ++t) {
      const auto row = [&](const model::Matrix& m) {
        const float* at = m.values.data() + t * 1003;
        return std::vector<double>(at, at + 1003);
      };
      const auto pr = row(p.value());
      const auto qr = row(q.value());
      long double expected = 0.0L;
      // log p_i = x_i - x_0 + log p_0
      const double p0 = slow_log_probability(pr, 0) - pr[0];
      const double q0 = slow_log_probability(qr, 0) - qr[0];
      for (size_t i = 0; i < 1003; ++i) {
        const double lp = pr[i] + p0;
        expected += static_cast<long double>(std::exp(lp) * (lp - (qr[i] + q0)));
      }
      agree += std::max_element(pr.begin(), pr.end()) - pr.begin() ==
               std::max_element(qr.begin(), qr.end()) - qr.begin();
      EXPECT_NEAR(kl->kl_nats_per_position[t], static_cast<double>(expected),
                  1e-9 * static_cast<double>(expected) + 1e-13);
      EXPECT_NEAR(kl->kl_nats_per_position[t], from_logits->kl_nats_per_position[t],
                  1e-5 * static_cast<double>(expected) + 1e-12);
    }
    EXPECT_EQ(kl->top1_agree, agree);
    if (scale == 1.0) {
      EXPECT_LT(agree, 70);
    }
  }
  const auto same = kl_divergence(reference, hidden.value(), reference, hidden.value());
  ASSERT_TRUE(same.has_value());
  for (const double value : same->kl_nats_per_position) EXPECT_EQ(value, 0.0);
  EXPECT_EQ(same->top1_agree, 70);
}

}  // namespace
}  // namespace dovetail::host
