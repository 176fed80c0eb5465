#include "eval/paired.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "base/random.h"
#include "eval/distributions.h"

namespace dovetail::eval {
namespace {

PairedCounts counts_of(int64_t gained, int64_t lost, int64_t total) {
  return {.both_right = total - gained - lost, .gained = gained, .lost = lost, .both_wrong = 0};
}

TEST(FindFlips, NamesQuestionsAndDirections) {
  const auto flips = find_flips({true, false, true, false}, {false, true, true, false});
  ASSERT_TRUE(flips.has_value());
  EXPECT_EQ(flips->gained, std::vector<int64_t>{1});
  EXPECT_EQ(flips->lost, std::vector<int64_t>{0});
  EXPECT_EQ(flips->counts.both_right, 1);
  EXPECT_EQ(flips->counts.both_wrong, 1);
  EXPECT_EQ(flips->counts.difference_frac(), 0);
  EXPECT_EQ(find_flips({true}, {}).error().message,
            "paired comparison: 1 questions of the baseline and 0 of the candidate, want the same "
            "questions and at least 1");
  EXPECT_FALSE(find_flips({}, {}).has_value());
}

// scipy: [stats.binomtest(min(b,c),b+c,.5).pvalue, min(1, 2*stats.binom.cdf(min(b,c),b+c,.5)
//   - stats.binom.pmf(min(b,c),b+c,.5))] for (b,c) in (12,2), (3,9), (40,61)
TEST(McNemar, AgreesWithScipy) {
  EXPECT_NEAR(mcnemar(12, 2).p_exact, 0.012939453125, 1e-12);
  EXPECT_NEAR(mcnemar(12, 2).p_mid, 0.007385253906249991, 1e-12);
  EXPECT_NEAR(mcnemar(3, 9).p_exact, 0.14599609375, 1e-12);
  EXPECT_NEAR(mcnemar(3, 9).p_mid, 0.09228515625, 1e-12);
  EXPECT_NEAR(mcnemar(40, 61).p_exact, 0.046044066929342785, 1e-12);
  EXPECT_NEAR(mcnemar(40, 61).p_mid, 0.0370667674385605, 1e-12);
}

// The permutation test: every way to exchange the two models on the questions that flipped.
TEST(McNemar, IsTheTestOfAllExchanges) {
  for (int64_t gained = 0; gained <= 8; ++gained) {
    for (int64_t lost = 0; lost <= 8; ++lost) {
      const int64_t flips = gained + lost;
      int64_t extreme = 0;
      for (uint32_t exchanged = 0; exchanged < (1U << flips); ++exchanged) {
        const auto now_gained = static_cast<int64_t>(std::popcount(exchanged));
        if (std::abs(2 * now_gained - flips) >= std::abs(gained - lost)) ++extreme;
      }
      const double p = static_cast<double>(extreme) / static_cast<double>(1U << flips);
      ASSERT_NEAR(mcnemar(gained, lost).p_exact, p, 1e-12) << gained << " " << lost;
      ASSERT_LE(mcnemar(gained, lost).p_mid, 1);
    }
  }
}

TEST(McNemar, WithoutFlipsThereIsNoEvidence) {
  EXPECT_EQ(mcnemar(0, 0).p_exact, 1);
  EXPECT_EQ(mcnemar(0, 0).p_mid, 1);
}

// An independent program: the restricted likelihood maximised by scipy.optimize.minimize_scalar,
// its score's roots by scipy.optimize.brentq, for (gained, lost, total).
TEST(TangoInterval, AgreesWithANumericalLikelihood) {
  EXPECT_NEAR(tango_score(12, 2, 50, 0), 2.6726124196527676, 1e-6);
  EXPECT_NEAR(tango_score(3, 9, 164, -0.03), -0.31958919690206117, 1e-6);
  EXPECT_NEAR(tango_score(0, 0, 100, -0.03), 1.7586311452816474, 1e-6);
  EXPECT_NEAR(tango_score(40, 61, 1140, -0.03), 1.294875383242267, 1e-6);
  EXPECT_NEAR(tango_score(5, 0, 60, 0.1), -0.4303314829119352, 1e-6);
  const auto expect_interval = [](const PairedCounts& counts, double lower, double upper) {
    const auto interval = tango_interval(counts);
    ASSERT_TRUE(interval.has_value());
    EXPECT_NEAR(interval->lower, lower, 1e-6);
    EXPECT_NEAR(interval->upper, upper, 1e-6);
  };
  expect_interval(counts_of(12, 2, 50), 0.0611124075500282, 0.3447087481180195);
  expect_interval(counts_of(3, 9, 164), -0.08553612417977902, 0.00561174306365585);
  expect_interval(counts_of(0, 0, 100), -0.03699349820698591, 0.03699349820698591);
  expect_interval(counts_of(40, 61, 1140), -0.03617153721322938, -0.0011629654243896952);
}

TEST(TangoInterval, NeverOfWidthZero) {
  for (const int64_t n : {1, 2, 5, 1000}) {
    for (const auto& counts : {counts_of(0, 0, n), counts_of(n, 0, n), counts_of(0, n, n)}) {
      const auto interval = tango_interval(counts);
      ASSERT_TRUE(interval.has_value());
      EXPECT_GT(interval->upper - interval->lower, 1e-4);
      EXPECT_GE(interval->lower, -1);
      EXPECT_LE(interval->upper, 1);
      EXPECT_LE(interval->lower, counts.difference_frac() + 1e-9);
      EXPECT_GE(interval->upper, counts.difference_frac() - 1e-9);
    }
  }
  EXPECT_EQ(tango_interval({}).error().message, "interval of a difference: no questions");
  EXPECT_EQ(tango_interval(counts_of(1, 1, 4), 1).error().message,
            "confidence_frac = 1, want a value in (0, 1)");
}

// Summed over all outcomes, so no chance is in it.
TEST(TangoInterval, CoversAboutAsOftenAsItSays) {
  constexpr int64_t kN = 60;
  for (const double lost : {0.03, 0.1, 0.25}) {
    const double gained = 0.5 * lost;
    double covered = 0;
    for (int64_t b = 0; b <= kN; ++b) {
      for (int64_t c = 0; b + c <= kN; ++c) {
        const double chance =
            binomial_pmf(b, kN, gained) * binomial_pmf(c, kN - b, lost / (1 - gained));
        if (chance < 1e-12) continue;
        const auto interval = tango_interval(counts_of(b, c, kN));
        if (interval->lower <= gained - lost && gained - lost <= interval->upper) covered += chance;
      }
    }
    EXPECT_GT(covered, 0.93) << lost;
    EXPECT_LT(covered, 0.99) << lost;
  }
}

// statsmodels: OLS(x, ones).fit(cov_type='cluster', cov_kwds={'groups': g}, use_t=True), and
// scipy.stats.t.interval(.95, 7, x.mean(), x.std(ddof=1) / sqrt(8))
TEST(PairedMean, AgreesWithStatsmodels) {
  const std::vector<double> x = {0.1, -0.2, 0.05, 0.3, 0, -0.15, 0.22, 0.07};
  const auto plain = paired_mean(x);
  ASSERT_TRUE(plain.has_value());
  EXPECT_NEAR(plain->mean, 0.04875, 1e-14);
  EXPECT_NEAR(plain->std_error.value(), 0.05965488544237477, 1e-12);
  EXPECT_NEAR(plain->interval->lower, -0.09231138884302868, 1e-10);
  EXPECT_NEAR(plain->interval->upper, 0.18981138884302867, 1e-10);
  const auto clustered = paired_mean(x, {1, 1, 2, 2, 3, 3, 4, 4});
  ASSERT_TRUE(clustered.has_value());
  EXPECT_EQ(clustered->num_clusters, 4);
  EXPECT_NEAR(clustered->std_error.value(), 0.06472297, 1e-8);
  EXPECT_NEAR(clustered->interval->lower, -0.15722737, 1e-8);
  EXPECT_NEAR(clustered->interval->upper, 0.25472737, 1e-8);
}

TEST(PairedMean, DefinedAtTheEdges) {
  EXPECT_EQ(paired_mean({}).error().message, "paired mean: no questions, want at least 1");
  EXPECT_EQ(paired_mean({1, 2}, {1}).error().message,
            "paired mean: 1 clusters for 2 questions, want one each");
  EXPECT_FALSE(paired_mean({1, HUGE_VAL}).has_value());
  EXPECT_FALSE(paired_mean({1, 2}, {}, 0).has_value());
  EXPECT_FALSE(paired_mean({0.5})->std_error.has_value());
  EXPECT_FALSE(paired_mean({0.1, 0.1, 0.1})->interval.has_value());  // no spread is not certainty
  EXPECT_FALSE(paired_mean({0.5, 0.7}, {3, 3})->interval.has_value());
  EXPECT_EQ(paired_mean({0.5, 0.7}, {3, 3})->num_clusters, 1);
}

// Differences that share a part within their cluster: the plain interval misses far too often.
TEST(PairedMean, CoversWithClusters) {
  constexpr int kTrials = 2000;
  Random random(7);
  int clustered_covers = 0;
  int plain_covers = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> x;
    std::vector<int64_t> clusters;
    for (int64_t g = 0; g < 40; ++g) {
      const double shared = random.uniform() - 0.5;
      for (int64_t i = 0; i < 1 + g % 5; ++i) {
        x.push_back(shared + 0.5 * (random.uniform() - 0.5));
        clusters.push_back(g);
      }
    }
    const auto covers = [](const Result<PairedMean>& mean) {
      return mean->interval->lower <= 0 && 0 <= mean->interval->upper;
    };
    if (covers(paired_mean(x, clusters))) ++clustered_covers;
    if (covers(paired_mean(x))) ++plain_covers;
  }
  EXPECT_GT(clustered_covers, 0.93 * kTrials);
  EXPECT_LT(clustered_covers, 0.97 * kTrials);
  EXPECT_LT(plain_covers, 0.85 * kTrials);
}

}  // namespace
}  // namespace dovetail::eval
