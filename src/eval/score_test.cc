#include "eval/score.h"

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

}  // namespace
}  // namespace dovetail::eval
