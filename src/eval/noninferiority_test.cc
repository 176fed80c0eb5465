#include "eval/noninferiority.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "eval/distributions.h"

namespace dovetail::eval {
namespace {

constexpr double kAlpha = 0.05;

PairedCounts counts_of(int64_t gained, int64_t lost, int64_t total) {
  return {.both_right = total - gained - lost, .gained = gained, .lost = lost, .both_wrong = 0};
}

// The definition: all tables that are at least as extreme, their chance term by term, the largest
// over a fine grid of rates.
double p_pass_by_enumeration(int64_t gained, int64_t lost, int64_t n, double margin) {
  const double observed = tango_score(gained, lost, n, -margin);
  double largest = 0;
  for (int step = 0; step <= 4000; ++step) {
    const double lost_rate = margin + (1 - margin) / 2 * step / 4000;
    const double gained_rate = lost_rate - margin;
    const double same_rate = std::max(0.0, 1 - lost_rate - gained_rate);
    double chance = 0;
    for (int64_t b = 0; b <= n; ++b) {
      for (int64_t c = 0; b + c <= n; ++c) {
        if (tango_score(b, c, n, -margin) < observed - 1e-9) continue;
        const auto ways = std::exp(std::lgamma(n + 1) - std::lgamma(b + 1) - std::lgamma(c + 1) -
                                   std::lgamma(n - b - c + 1));
        chance += ways * std::pow(gained_rate, b) * std::pow(lost_rate, c) *
                  std::pow(same_rate, n - b - c);
      }
    }
    largest = std::max(largest, chance);
  }
  return largest;
}

TEST(NonInferiority, IsItsDefinition) {
  for (const auto& [gained, lost, n, margin] : {std::tuple{0, 0, 12, 0.2},
                                                {1, 0, 12, 0.2},
                                                {3, 2, 12, 0.2},
                                                {0, 4, 12, 0.2},
                                                {2, 1, 9, 0.05},
                                                {0, 0, 15, 0.1},
                                                {6, 6, 12, 0.3},
                                                {0, 12, 12, 0.3}}) {
    const auto test = test_noninferiority(counts_of(gained, lost, n), margin);
    ASSERT_TRUE(test.has_value());
    EXPECT_NEAR(test->p_pass, p_pass_by_enumeration(gained, lost, n, margin), 2e-5)
        << gained << " " << lost << " " << n << " " << margin;
  }
}

// Without any flip only "none of n was lost at the rate m" can be asked: (1 - m)^n.
TEST(NonInferiority, WithoutFlipsIsHandWorked) {
  const auto few = test_noninferiority(counts_of(0, 0, 50), 0.03);
  EXPECT_NEAR(few->p_pass, std::pow(0.97, 50), 1e-9);
  const auto enough = test_noninferiority(counts_of(0, 0, 100), 0.03);
  EXPECT_NEAR(enough->p_pass, std::pow(0.97, 100), 1e-9);
  EXPECT_GT(enough->p_fail, 0.5);
}

TEST(NonInferiority, RejectsBadInput) {
  EXPECT_EQ(test_noninferiority({}, 0.03).error().message, "non-inferiority: no questions");
  EXPECT_EQ(test_noninferiority(counts_of(0, 0, 5), 0).error().message,
            "margin_frac = 0, want a value in (0, 1)");
  EXPECT_FALSE(power_of_test(0, 0.03, {}).has_value());
  EXPECT_FALSE(power_of_test(10, 0.03, {.gained_frac = 0.7, .lost_frac = 0.7}).has_value());
  EXPECT_FALSE(power_of_test(10, 0.03, {}, 1).has_value());
  EXPECT_FALSE(questions_to_decide(0.03, {}, 0.05, 1).has_value());
}

struct Shares {
  double pass = 0;
  double fail = 0;
};

// Draws tables and tests each. p falls as the score grows, so the scores are sorted and the last
// that rejects is found by bisection: every decision is the test's own.
Shares simulate(int64_t n, double margin, const FlipRates& rates, int64_t trials, uint64_t seed) {
  Random random(seed);
  std::vector<std::pair<double, PairedCounts>> tables;
  for (int64_t trial = 0; trial < trials; ++trial) {
    PairedCounts counts;
    for (int64_t i = 0; i < n; ++i) {
      const double u = random.uniform();
      if (u < rates.gained_frac)
        ++counts.gained;
      else if (u < rates.gained_frac + rates.lost_frac)
        ++counts.lost;
      else
        ++counts.both_right;
    }
    tables.emplace_back(tango_score(counts.gained, counts.lost, n, -margin), counts);
  }
  std::ranges::sort(tables, {}, [](const auto& table) { return table.first; });
  const auto first_pass = std::ranges::partition_point(tables, [&](const auto& table) {
    return test_noninferiority(table.second, margin)->p_pass > kAlpha;
  });
  const auto first_no_fail = std::ranges::partition_point(tables, [&](const auto& table) {
    return test_noninferiority(table.second, margin)->p_fail <= kAlpha;
  });
  const auto all = static_cast<double>(trials);
  return {.pass = static_cast<double>(tables.end() - first_pass) / all,
          .fail = static_cast<double>(first_no_fail - tables.begin()) / all};
}

// At d = -m neither claim is true: each may be made in at most 5 % of the trials. The bound allows
// for three standard errors of 2,000 trials.
TEST(NonInferiority, ErrsInAtMostFivePercentOfSimulations) {
  constexpr int64_t kTrials = 2000;
  const double bound = kAlpha + 3 * std::sqrt(kAlpha * (1 - kAlpha) / kTrials);
  uint64_t seed = 1;
  double largest = 0;
  for (const int64_t n : {50, 164, 500, 2000}) {
    for (const double margin : {0.01, 0.03, 0.05}) {
      for (const double gained : {0.0, 0.02, 0.15}) {
        const Shares shares = simulate(
            n, margin, {.gained_frac = gained, .lost_frac = gained + margin}, kTrials, ++seed);
        EXPECT_LE(shares.pass, bound) << n << " " << margin << " " << gained;
        EXPECT_LE(shares.fail, bound) << n << " " << margin << " " << gained;
        largest = std::max(largest, shares.pass);
      }
    }
  }
  EXPECT_GT(largest, 0.04);  // not bought by never passing
}

// Without chance: the sum over all tables, at rates that the search for the worst did not try.
TEST(NonInferiority, SizeIsBoundedAtEveryRate) {
  for (const int64_t n : {50, 164}) {
    for (const double margin : {0.02, 0.05}) {
      for (int step = 0; step < 8; ++step) {
        const double gained = 0.47 * std::pow(step / 8.0, 1.7);
        const auto power =
            power_of_test(n, margin, {.gained_frac = gained, .lost_frac = gained + margin});
        ASSERT_TRUE(power.has_value());
        EXPECT_LE(power->pass_frac, kAlpha + 1e-4) << n << " " << margin << " " << gained;
        EXPECT_LE(power->fail_frac, kAlpha + 1e-4) << n << " " << margin << " " << gained;
      }
    }
  }
}

TEST(Power, AgreesWithSimulation) {
  const FlipRates rates{.gained_frac = 0.04, .lost_frac = 0.05};
  constexpr int64_t kTrials = 4000;
  const auto power = power_of_test(400, 0.05, rates);
  const Shares shares = simulate(400, 0.05, rates, kTrials, 99);
  ASSERT_TRUE(power.has_value());
  EXPECT_NEAR(power->pass_frac, shares.pass, 0.03);
  EXPECT_NEAR(power->fail_frac, shares.fail, 0.01);
  EXPECT_GT(power->pass_frac, 0.7);
}

TEST(Power, GrowsAlongTheCurve) {
  const auto curve = power_curve({100, 300, 900}, 0.05, {.gained_frac = 0.05, .lost_frac = 0.06});
  ASSERT_TRUE(curve.has_value());
  EXPECT_LT((*curve)[0].pass_frac, (*curve)[1].pass_frac);
  EXPECT_LT((*curve)[1].pass_frac, (*curve)[2].pass_frac);
  EXPECT_GT((*curve)[2].pass_frac, 0.95);
}

TEST(QuestionsToDecide, IsCloseToTheExactPower) {
  for (const FlipRates& rates :
       {FlipRates{0.05, 0.05}, FlipRates{0.02, 0.03}, FlipRates{0.02, 0.14}, FlipRates{0, 0}}) {
    const auto wanted = questions_to_decide(0.05, rates);
    ASSERT_TRUE(wanted.has_value() && wanted->has_value());
    const auto power = power_of_test(**wanted, 0.05, rates);
    const auto more = power_of_test(**wanted * 5 / 4, 0.05, rates);
    const auto decided = [](const Power& p) { return p.pass_frac + p.fail_frac; };
    EXPECT_GT(decided(*power), 0.6) << rates.gained_frac << " " << rates.lost_frac;
    if (rates.lost_frac > 0) {
      EXPECT_LT(decided(*power), 0.9);
    }
    EXPECT_GT(decided(*more), 0.8) << rates.gained_frac << " " << rates.lost_frac;
  }
}

TEST(QuestionsToDecide, NoneOnTheMargin) {
  const auto wanted = questions_to_decide(0.05, {.gained_frac = 0.05, .lost_frac = 0.1});
  ASSERT_TRUE(wanted.has_value());
  EXPECT_FALSE(wanted->has_value());
}

}  // namespace
}  // namespace dovetail::eval
