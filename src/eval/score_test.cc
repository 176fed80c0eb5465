#include "eval/score.h"

#include <bit>
#include <cmath>

#include "eval/fixtures.h"

namespace dovetail::eval {
namespace {

TEST(Score, MeansAndErrorsAreThoseOfLmEval) {
  const Json answers = fixture("answers.json");
  std::vector<Score> scores;
  for (const Json& row : answers["scores"]) {
    scores.push_back(score_of(row[0].get<std::vector<bool>>()));
    EXPECT_DOUBLE_EQ(scores.back().score_frac, row[1].get<double>());
    EXPECT_NEAR(scores.back().stderr_frac.value(), row[2].get<double>(), 1e-12);
  }
  const Score pooled = pooled_score(scores, ScoringMode::kLmEval);
  EXPECT_NEAR(pooled.score_frac, answers["pooled"]["score"].get<double>(), 1e-12);
  EXPECT_NEAR(pooled.stderr_frac.value(), answers["pooled"]["stderr"].get<double>(), 1e-12);
}

TEST(Score, FixedPoolsTheSpreadBetweenTasksToo) {
  const Score all = score_of({true, true, true, false, false, false, false, false});
  const std::vector<Score> parts = {score_of({true, true, true}),
                                    score_of({false, false, false, false, false})};
  EXPECT_DOUBLE_EQ(pooled_score(parts, ScoringMode::kFixed).stderr_frac.value(), *all.stderr_frac);
  EXPECT_EQ(pooled_score(parts, ScoringMode::kLmEval).stderr_frac.value(), 0);
}

TEST(Score, OneQuestionHasNoError) {
  EXPECT_FALSE(score_of({true}).stderr_frac.has_value());
  const std::vector<Score> parts = {score_of({true}), score_of({true, false})};
  EXPECT_FALSE(pooled_score(parts, ScoringMode::kLmEval).stderr_frac.has_value());
  EXPECT_EQ(pooled_score(parts, ScoringMode::kLmEval).num_questions, 3);
}

TEST(Score, PerplexitiesAreThoseOfLmEval) {
  const Json answers = fixture("answers.json");
  double nats = 0;
  int64_t words = 0;
  for (const Json& page : answers["perplexity"]["pages"]) {
    nats += page[0].get<double>();
    words += page[1].get<int64_t>();
  }
  const PerplexityScore score = perplexity_score(nats, words, words);
  EXPECT_NEAR(score.word_perplexity / answers["perplexity"]["word"].get<double>(), 1, 1e-12);
  EXPECT_NEAR(score.bits_per_byte, answers["perplexity"]["bits"].get<double>(), 1e-12);
  EXPECT_EQ(score.byte_perplexity, score.word_perplexity);
}

// Share of all subsets of k samples in which at least one passed.
double pass_by_enumeration(int64_t n, int64_t passed, int64_t k) {
  int64_t subsets = 0;
  int64_t passing = 0;
  for (uint32_t subset = 0; subset < (1U << n); ++subset) {
    if (std::popcount(subset) != k) continue;
    ++subsets;
    if ((subset & ((1U << passed) - 1)) != 0) ++passing;
  }
  return static_cast<double>(passing) / static_cast<double>(subsets);
}

TEST(PassAtK, IsTheShareOfAllSubsets) {
  for (int64_t n = 1; n <= 9; ++n)
    for (int64_t passed = 0; passed <= n; ++passed)
      for (int64_t k = 1; k <= n; ++k)
        ASSERT_NEAR(pass_at_k(n, passed, k).value(), pass_by_enumeration(n, passed, k), 1e-12);
}

TEST(PassAtK, RejectsBadCounts) {
  EXPECT_FALSE(pass_at_k(0, 0, 1).has_value());
  EXPECT_FALSE(pass_at_k(5, 6, 1).has_value());
  EXPECT_EQ(pass_at_k(5, 1, 6).error().message,
            "pass@6 of 5 samples with 1 passed: want 1 <= k <= samples, 0 <= passed <= samples");
}

// Limits where |p - truth| is 1.96 standard errors of the truth: the interval inverts that test.
TEST(ScoreInterval, InvertsTheScoreTest) {
  for (const auto& [right, asked] :
       {std::pair<int64_t, int64_t>{0, 10}, {3, 10}, {10, 10}, {82, 164}, {1, 1}}) {
    const ScoreInterval interval = score_interval(right, asked);
    const double p = static_cast<double>(right) / static_cast<double>(asked);
    EXPECT_LE(interval.lower_frac, p + 1e-12);
    EXPECT_GE(interval.upper_frac, p - 1e-12);
    for (const double truth : {interval.lower_frac, interval.upper_frac}) {
      if (truth < 1e-9 || truth > 1 - 1e-9) continue;
      const double error = std::sqrt(truth * (1 - truth) / static_cast<double>(asked));
      EXPECT_NEAR(std::abs(p - truth) / error, 1.959963984540054, 1e-9) << right << "/" << asked;
    }
  }
}

}  // namespace
}  // namespace dovetail::eval
