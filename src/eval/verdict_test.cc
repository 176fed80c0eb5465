#include "eval/verdict.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace dovetail::eval {
namespace {

constexpr double kAlpha = 0.05;

struct Outcomes {
  std::vector<bool> baseline;
  std::vector<bool> candidate;
  std::vector<int64_t> clusters;
  void add(double difference, int64_t cluster) {
    baseline.push_back(difference < 0);
    candidate.push_back(difference > 0);
    clusters.push_back(cluster);
  }
};

Outcomes outcomes_of(int64_t gained, int64_t lost, int64_t total) {
  Outcomes outcomes;
  for (int64_t i = 0; i < total; ++i) {
    outcomes.add(i < gained ? 1 : i < gained + lost ? -1 : 0, i);
  }
  return outcomes;
}

TEST(BenchmarkVerdict, IsExactWhereAllWasAsked) {
  const VerdictParams params{.margin_frac = 5.0 / 164};
  for (const int64_t lost : {0, 4, 5, 6, 30}) {
    const Outcomes outcomes = outcomes_of(0, lost, 164);
    const auto verdict = benchmark_verdict(outcomes.baseline, outcomes.candidate, 164, params);
    ASSERT_TRUE(verdict.has_value());
    EXPECT_EQ(verdict->decision, lost <= 5 ? Decision::kPass : Decision::kFail) << lost;
    EXPECT_TRUE(verdict->is_exact);
    EXPECT_EQ(verdict->method, "exact");
    EXPECT_FALSE(verdict->interval.has_value());
    EXPECT_FALSE(verdict->questions_to_decide.has_value());
    EXPECT_DOUBLE_EQ(verdict->difference_frac, -static_cast<double>(lost) / 164);
  }
}

TEST(BenchmarkVerdict, APartOfItIsASample) {
  const Outcomes outcomes = outcomes_of(1, 2, 60);
  const auto verdict =
      benchmark_verdict(outcomes.baseline, outcomes.candidate, 164, {.margin_frac = 5.0 / 164});
  ASSERT_TRUE(verdict.has_value());
  EXPECT_EQ(verdict->decision, Decision::kUndecided);
  EXPECT_FALSE(verdict->is_exact);
  EXPECT_EQ(verdict->questions_to_decide, 164);
  EXPECT_FALSE(benchmark_verdict(outcomes.baseline, outcomes.candidate, 59, {.margin_frac = 0.1})
                   .has_value());
}

TEST(PopulationVerdict, PassesFailsOrStaysOpen) {
  const VerdictParams params{.margin_frac = 0.03};
  const Outcomes close = outcomes_of(40, 45, 1140);
  const auto pass = population_verdict(close.baseline, close.candidate, params);
  ASSERT_TRUE(pass.has_value());
  EXPECT_EQ(pass->decision, Decision::kPass);
  EXPECT_GT(pass->interval->lower, -0.03);
  EXPECT_DOUBLE_EQ(pass->interval->confidence_frac, 0.9);
  const Outcomes worse = outcomes_of(30, 120, 1140);
  EXPECT_EQ(population_verdict(worse.baseline, worse.candidate, params)->decision, Decision::kFail);
  const Outcomes open = outcomes_of(40, 61, 1140);
  const auto undecided = population_verdict(open.baseline, open.candidate, params);
  EXPECT_EQ(undecided->decision, Decision::kUndecided);
  EXPECT_EQ(undecided->kind, VerdictKind::kPopulation);
  EXPECT_GT(undecided->questions_to_decide.value(), 1140);
}

TEST(PopulationVerdict, DefinedAtTheEdges) {
  const VerdictParams params{.margin_frac = 0.03};
  const Outcomes one = outcomes_of(0, 0, 1);
  const auto verdict = population_verdict(one.baseline, one.candidate, params);
  EXPECT_EQ(verdict->decision, Decision::kUndecided);
  EXPECT_GT(verdict->interval->upper - verdict->interval->lower, 0.5);
  EXPECT_EQ(population_verdict({}, {}, params).error().message,
            "paired comparison: 0 questions of the baseline and 0 of the candidate, want the same "
            "questions and at least 1");
  EXPECT_EQ(population_verdict({true}, {true}, {.margin_frac = 3}).error().message,
            "margin_frac = 3, want a value in (0, 1)");
  EXPECT_FALSE(population_verdict({true}, {true}, {.margin_frac = 0.1, .alpha = 0.5}).has_value());
  // Nothing flipped, in one cluster or in many: the clusters show no spread, so they decide
  // nothing.
  const Outcomes equal = outcomes_of(0, 0, 500);
  const auto unclustered = population_verdict(equal.baseline, equal.candidate, params);
  EXPECT_EQ(unclustered->decision, Decision::kPass);
  const auto clustered =
      population_verdict(equal.baseline, equal.candidate, params, equal.clusters);
  EXPECT_EQ(clustered->decision, Decision::kUndecided);
  EXPECT_NE(clustered->method.find("no spread"), std::string::npos);
}

TEST(PopulationVerdict, StaysOpenWithFewClusters) {
  Outcomes outcomes;
  for (int i = 0; i < 2000; ++i) outcomes.add(i % 37 == 0 ? 1 : 0, i % 19);
  const auto verdict = population_verdict(outcomes.baseline, outcomes.candidate,
                                          {.margin_frac = 0.05}, outcomes.clusters);
  EXPECT_EQ(verdict->decision, Decision::kUndecided);
  EXPECT_NE(verdict->method.find("19 clusters"), std::string::npos);
}

struct Clustering {
  int64_t clusters;
  int64_t questions;  // in each, where all have the same number; else 1..2 * questions - 1
  bool same_size;
  double shared;  // chance that a question repeats what its cluster does
};

// Flips at the boundary d = -m, with clusters that flip together.
double false_passes(const Clustering& setting, double margin, double gained, int64_t trials,
                    bool use_clusters, double* fails) {
  Random random(static_cast<uint64_t>(setting.clusters * 1000 + setting.questions));
  const auto draw = [&] {
    const double u = random.uniform();
    return u < gained ? 1.0 : u < 2 * gained + margin ? -1.0 : 0.0;
  };
  int64_t passes = 0;
  int64_t num_fails = 0;
  for (int64_t trial = 0; trial < trials; ++trial) {
    Outcomes outcomes;
    for (int64_t g = 0; g < setting.clusters; ++g) {
      const double own = draw();
      const int64_t size =
          setting.same_size ? setting.questions : 1 + random.below(2 * setting.questions - 1);
      for (int64_t i = 0; i < size; ++i) {
        outcomes.add(random.uniform() < setting.shared ? own : draw(), g);
      }
    }
    const auto verdict =
        population_verdict(outcomes.baseline, outcomes.candidate, {.margin_frac = margin},
                           use_clusters ? outcomes.clusters : std::vector<int64_t>{});
    passes += verdict->decision == Decision::kPass ? 1 : 0;
    num_fails += verdict->decision == Decision::kFail ? 1 : 0;
  }
  *fails = static_cast<double>(num_fails) / static_cast<double>(trials);
  return static_cast<double>(passes) / static_cast<double>(trials);
}

TEST(PopulationVerdict, ErrsInAtMostFivePercentWithClusters) {
  constexpr int64_t kTrials = 400;
  const double bound = kAlpha + 3 * std::sqrt(kAlpha * (1 - kAlpha) / kTrials);
  for (const Clustering& setting : {Clustering{57, 5, true, 0.3}, Clustering{20, 10, true, 0.3},
                                    Clustering{40, 4, false, 0.6}, Clustering{25, 2, true, 0.9}}) {
    double fails = 0;
    EXPECT_LE(false_passes(setting, 0.05, 0.08, kTrials, true, &fails), bound) << setting.clusters;
    EXPECT_LE(fails, bound) << setting.clusters;
  }
}

// The reason for the cluster-robust part: without it the same questions pass far too often.
TEST(PopulationVerdict, ClustersMatter) {
  double fails = 0;
  EXPECT_GT(false_passes({40, 8, true, 0.7}, 0.05, 0.08, 200, false, &fails), 0.1);
  EXPECT_LE(false_passes({40, 8, true, 0.7}, 0.05, 0.08, 200, true, &fails), 0.1);
}

// statsmodels: multipletests([.01, .04, .03, .005, .2], method='holm')[1]
TEST(Holm, AgreesWithStatsmodels) {
  const std::vector<double> adjusted = holm_adjusted({0.01, 0.04, 0.03, 0.005, 0.2});
  const std::vector<double> expected = {0.04, 0.09, 0.09, 0.025, 0.2};
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(adjusted[i], expected[i], 1e-14);
  EXPECT_TRUE(holm_adjusted({}).empty());
  EXPECT_EQ(holm_adjusted({0.7, 0.9}), (std::vector<double>{1, 1}));
}

TEST(DecideTogether, WithdrawsWhatOneOfManyWouldPass) {
  const VerdictParams params{.margin_frac = 0.03};
  const Outcomes barely = outcomes_of(0, 0, 100);  // p = 0.0476 alone
  const auto one = population_verdict(barely.baseline, barely.candidate, params);
  ASSERT_EQ(one->decision, Decision::kPass);
  const auto alone = decide_together({*one});
  EXPECT_EQ((*alone)[0].decision, Decision::kPass);
  const auto two = decide_together({*one, *one});
  EXPECT_EQ((*two)[0].decision, Decision::kUndecided);
  EXPECT_EQ((*two)[1].decision, Decision::kUndecided);
  EXPECT_TRUE(decide_together({})->empty());
}

TEST(DecideTogether, LeavesExactOnesAndNeverMixesKinds) {
  const VerdictParams params{.margin_frac = 0.03};
  const Outcomes outcomes = outcomes_of(0, 1, 100);
  const auto exact = benchmark_verdict(outcomes.baseline, outcomes.candidate, 100, params);
  const auto together = decide_together({*exact, *exact, *exact});
  for (const Verdict& verdict : *together) EXPECT_EQ(verdict.decision, Decision::kPass);
  const auto population = population_verdict(outcomes.baseline, outcomes.candidate, params);
  EXPECT_EQ(decide_together({*exact, *population}).error().message,
            "verdicts of kind benchmark at alpha = 0.05 and of kind population at alpha = 0.05, "
            "want one of each");
}

// Twenty candidates on the margin: any false pass among them in at most 5 % of the studies.
TEST(DecideTogether, ErrsInAtMostFivePercentOfStudies) {
  constexpr int64_t kStudies = 100;
  Random random(5);
  int64_t wrong_studies = 0;
  int64_t wrong_alone = 0;
  for (int64_t study = 0; study < kStudies; ++study) {
    std::vector<Verdict> verdicts;
    for (int candidate = 0; candidate < 20; ++candidate) {
      Outcomes outcomes;
      for (int64_t i = 0; i < 50; ++i) {
        const double u = random.uniform();
        outcomes.add(u < 0.1 ? 1 : u < 0.3 ? -1 : 0, i);
      }
      verdicts.push_back(
          *population_verdict(outcomes.baseline, outcomes.candidate, {.margin_frac = 0.1}));
    }
    const auto any_pass = [](const std::vector<Verdict>& all) {
      for (const Verdict& verdict : all) {
        if (verdict.decision == Decision::kPass) return true;
      }
      return false;
    };
    if (any_pass(verdicts)) ++wrong_alone;
    if (any_pass(*decide_together(verdicts))) ++wrong_studies;
  }
  EXPECT_LE(wrong_studies, 0.12 * kStudies);  // 5 % and three standard errors
  EXPECT_GT(wrong_alone, 0.3 * kStudies);
}

}  // namespace
}  // namespace dovetail::eval
