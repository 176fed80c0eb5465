#include "eval/sequential.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"

namespace dovetail::eval {
namespace {

constexpr double kAlpha = 0.05;
// Three standard errors of a share of 5 %.
double bound_of(int64_t trials) {
  return kAlpha + 3 * std::sqrt(kAlpha * (1 - kAlpha) / static_cast<double>(trials));
}

double draw_difference(Random& random, double gained, double lost) {
  const double u = random.uniform();
  if (u < gained) return 1;
  return u < gained + lost ? -1 : 0;
}

struct Outcome {
  double pass = 0;
  double fail = 0;
  double mean_questions = 0;
};

// Looks after every question and stops at the first decision: the worst a user can do.
Outcome simulate(double margin, double gained, double lost, int64_t most, int64_t trials,
                 uint64_t seed) {
  Random random(seed);
  Outcome outcome;
  for (int64_t trial = 0; trial < trials; ++trial) {
    SequentialTest test = *SequentialTest::create({.margin_frac = margin});
    while (test.num_questions() < most && test.decision() == Decision::kUndecided) {
      EXPECT_TRUE(test.add(draw_difference(random, gained, lost)).has_value());
    }
    outcome.pass += test.decision() == Decision::kPass ? 1 : 0;
    outcome.fail += test.decision() == Decision::kFail ? 1 : 0;
    outcome.mean_questions += static_cast<double>(test.num_questions());
  }
  const auto all = static_cast<double>(trials);
  return {outcome.pass / all, outcome.fail / all, outcome.mean_questions / all};
}

TEST(Sequential, ErrsInAtMostFivePercentHoweverOftenItIsLookedAt) {
  constexpr int64_t kTrials = 800;
  uint64_t seed = 1;
  for (const double margin : {0.03, 0.1}) {
    for (const double gained : {0.0, 0.02, 0.2}) {
      const Outcome at_margin = simulate(margin, gained, gained + margin, 2000, kTrials, ++seed);
      EXPECT_LE(at_margin.pass, bound_of(kTrials)) << margin << " " << gained;
      EXPECT_LE(at_margin.fail, bound_of(kTrials)) << margin << " " << gained;
    }
  }
}

TEST(Sequential, StopsEarlyWhereItIsClear) {
  // Ten points lost, at a margin of three.
  const Outcome worse = simulate(0.03, 0.05, 0.15, 2000, 200, 5);
  EXPECT_GT(worse.fail, 0.97);
  EXPECT_LT(worse.mean_questions, 450);
  EXPECT_LT(worse.pass, 0.03);
  // Forty points lost: a broken model.
  const Outcome broken = simulate(0.03, 0.02, 0.42, 2000, 200, 6);
  EXPECT_EQ(broken.fail, 1);
  EXPECT_LT(broken.mean_questions, 40);
  // Nearly nothing flips.
  const Outcome same = simulate(0.05, 0.01, 0.01, 2000, 200, 7);
  EXPECT_GT(same.pass, 0.97);
  EXPECT_LT(same.mean_questions, 500);
}

// Clusters whose questions all do the same, which is the strongest dependence there is.
TEST(Sequential, ErrsInAtMostFivePercentWithClusters) {
  constexpr int64_t kTrials = 800;
  Random random(3);
  int64_t passes = 0;
  int64_t fails = 0;
  for (int64_t trial = 0; trial < kTrials; ++trial) {
    SequentialTest test =
        *SequentialTest::create({.margin_frac = 0.05, .max_cluster_questions = 8});
    for (int i = 0; i < 150 && test.decision() == Decision::kUndecided; ++i) {
      const auto size = static_cast<size_t>(1 + random.below(8));
      const std::vector<double> cluster(size, draw_difference(random, 0.05, 0.1));
      ASSERT_TRUE(test.add_cluster(cluster).has_value());
    }
    passes += test.decision() == Decision::kPass ? 1 : 0;
    fails += test.decision() == Decision::kFail ? 1 : 0;
  }
  EXPECT_LE(static_cast<double>(passes), bound_of(kTrials) * kTrials);
  EXPECT_LE(static_cast<double>(fails), bound_of(kTrials) * kTrials);
}

std::vector<double> benchmark_of(int64_t gained, int64_t lost, int64_t total) {
  std::vector<double> questions(static_cast<size_t>(total), 0);
  for (int64_t i = 0; i < gained; ++i) questions[static_cast<size_t>(i)] = 1;
  for (int64_t i = 0; i < lost; ++i) questions[static_cast<size_t>(gained + i)] = -1;
  return questions;
}

void shuffle(std::vector<double>& questions, Random& random) {
  for (size_t i = questions.size(); i > 1; --i) {
    std::swap(questions[i - 1],
              questions[static_cast<size_t>(random.below(static_cast<int64_t>(i)))]);
  }
}

// One question beyond the margin: a pass is wrong. One within: a fail is.
TEST(Sequential, BenchmarkInPartErrsInAtMostFivePercent) {
  constexpr int64_t kTrials = 2000;
  constexpr int64_t kTotal = 164;
  Random random(11);
  for (const int64_t gained : {0, 3, 20}) {
    int64_t wrong = 0;
    int64_t wrong_fails = 0;
    for (int64_t trial = 0; trial < kTrials; ++trial) {
      for (const int64_t net_lost : {6, 5}) {
        std::vector<double> questions = benchmark_of(gained, gained + net_lost, kTotal);
        shuffle(questions, random);
        SequentialTest test = *SequentialTest::create(
            {.margin_frac = 5.0 / kTotal, .num_benchmark_questions = kTotal});
        for (size_t i = 0; i < 150 && test.decision() == Decision::kUndecided; ++i) {
          ASSERT_TRUE(test.add(questions[i]).has_value());
        }
        if (net_lost == 6 && test.decision() == Decision::kPass) ++wrong;
        if (net_lost == 5 && test.decision() == Decision::kFail) ++wrong_fails;
      }
    }
    EXPECT_LE(static_cast<double>(wrong), bound_of(kTrials) * kTrials) << gained;
    EXPECT_LE(static_cast<double>(wrong_fails), bound_of(kTrials) * kTrials) << gained;
  }
}

TEST(Sequential, WholeBenchmarkIsExact) {
  Random random(2);
  for (int64_t gained = 0; gained <= 6; ++gained) {
    for (int64_t lost = 0; lost <= 8; ++lost) {
      std::vector<double> questions = benchmark_of(gained, lost, 20);
      shuffle(questions, random);
      SequentialTest test =
          *SequentialTest::create({.margin_frac = 2.0 / 20, .num_benchmark_questions = 20});
      for (const double question : questions) ASSERT_TRUE(test.add(question).has_value());
      const bool passes = gained - lost >= -2;
      ASSERT_EQ(test.decision(), passes ? Decision::kPass : Decision::kFail)
          << gained << " " << lost;
      ASSERT_EQ(test.p_pass(), passes ? 0 : 1);
      ASSERT_EQ(test.p_fail(), passes ? 1 : 0);
      EXPECT_EQ(test.add(0).error().message, "question 21 of a benchmark of 20");
    }
  }
}

TEST(Sequential, BenchmarkIsDecidedWhereTheRestCannotChangeIt) {
  SequentialTest test =
      *SequentialTest::create({.margin_frac = 0.1, .num_benchmark_questions = 10});
  for (int i = 0; i < 9; ++i) ASSERT_TRUE(test.add(0).has_value());
  EXPECT_EQ(test.decision(), Decision::kPass);  // the last one loses at most 1 of 10
}

TEST(Sequential, RejectsBadInput) {
  EXPECT_EQ(SequentialTest::create({.margin_frac = 1}).error().message,
            "margin_frac = 1, want a value in (0, 1)");
  EXPECT_FALSE(SequentialTest::create({.margin_frac = 0.1, .alpha = 0}).has_value());
  EXPECT_FALSE(
      SequentialTest::create({.margin_frac = 0.1, .num_benchmark_questions = 0}).has_value());
  EXPECT_FALSE(
      SequentialTest::create({.margin_frac = 0.1, .max_cluster_questions = 0}).has_value());
  SequentialTest test = *SequentialTest::create({.margin_frac = 0.1});
  EXPECT_EQ(test.add(std::nan("")).error().message, "difference of a question = nan, want -1..1");
  EXPECT_EQ(test.add_cluster({0, 0}).error().message, "a cluster of 2 questions, want 1..1");
  EXPECT_FALSE(test.add_cluster({}).has_value());
  EXPECT_EQ(test.num_questions(), 0);
  EXPECT_EQ(test.p_pass(), 1);
}

TEST(AnytimeInterval, CoversAtAllTimesAtOnce) {
  constexpr int64_t kTrials = 300;
  Random random(21);
  int64_t missed = 0;
  for (int64_t trial = 0; trial < kTrials; ++trial) {
    PairedCounts counts;
    bool covers = true;
    for (int i = 0; i < 1000 && covers; ++i) {
      const double difference = draw_difference(random, 0.05, 0.1);
      counts.gained += difference > 0 ? 1 : 0;
      counts.lost += difference < 0 ? 1 : 0;
      counts.both_right += difference == 0 ? 1 : 0;
      if (i % 10 != 0) continue;
      const auto interval = anytime_interval(counts);
      covers = interval->lower <= -0.05 && -0.05 <= interval->upper;
    }
    if (!covers) ++missed;
  }
  EXPECT_LE(static_cast<double>(missed), bound_of(kTrials) * kTrials);
}

TEST(AnytimeInterval, NarrowsAndIsWiderThanAFixedOne) {
  const PairedCounts few{.both_right = 85, .gained = 5, .lost = 10, .both_wrong = 0};
  const PairedCounts many{.both_right = 1700, .gained = 100, .lost = 200, .both_wrong = 0};
  const auto width = [](const Result<Interval>& interval) {
    return interval->upper - interval->lower;
  };
  EXPECT_LT(width(anytime_interval(many)), 0.4 * width(anytime_interval(few)));
  EXPECT_GT(width(anytime_interval(many)), width(tango_interval(many)));
  EXPECT_LT(width(anytime_interval(many)), 2.2 * width(tango_interval(many)));
  EXPECT_FALSE(anytime_interval({}).has_value());
  EXPECT_FALSE(anytime_interval(few, 1).has_value());
}

}  // namespace
}  // namespace dovetail::eval
