#include "eval/question_split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

namespace dovetail::eval {
namespace {

// Strata of 1, 2, 3, ... questions.
std::vector<SplitQuestion> some_questions() {
  std::vector<SplitQuestion> questions;
  for (int stratum = 1; stratum <= 12; ++stratum) {
    for (int i = 0; i < stratum; ++i) {
      questions.push_back(
          {.id = fmt::format("s{}/{}", stratum, i), .stratum = fmt::format("s{}", stratum)});
    }
  }
  return questions;
}

std::set<std::string> ids_of(const std::vector<SplitQuestion>& questions,
                             const std::vector<int64_t>& indices) {
  std::set<std::string> ids;
  for (const int64_t index : indices) ids.insert(questions[static_cast<size_t>(index)].id);
  return ids;
}

TEST(SplitQuestions, HalvesEveryStratum) {
  const std::vector<SplitQuestion> questions = some_questions();
  const auto halves = split_questions(questions, 3);
  ASSERT_TRUE(halves.has_value());
  EXPECT_EQ(halves->selection.size(), questions.size() / 2);
  std::set<int64_t> all(halves->selection.begin(), halves->selection.end());
  all.insert(halves->certification.begin(), halves->certification.end());
  EXPECT_EQ(all.size(), questions.size());
  std::map<std::string, int64_t> surplus;
  for (const int64_t i : halves->selection) ++surplus[questions[static_cast<size_t>(i)].stratum];
  for (const int64_t i : halves->certification) {
    --surplus[questions[static_cast<size_t>(i)].stratum];
  }
  for (const auto& [stratum, value] : surplus) EXPECT_LE(std::abs(value), 1) << stratum;
}

TEST(SplitQuestions, DependsOnIdAndSeedAlone) {
  const std::vector<SplitQuestion> questions = some_questions();
  std::vector<SplitQuestion> reversed = questions;
  std::ranges::reverse(reversed);
  const auto one = ids_of(questions, split_questions(questions, 3)->selection);
  EXPECT_EQ(one, ids_of(reversed, split_questions(reversed, 3)->selection));
  EXPECT_NE(one, ids_of(questions, split_questions(questions, 4)->selection));
}

TEST(SplitQuestions, RejectsWhatCannotBeHalved) {
  EXPECT_EQ(split_questions({{.id = "a", .stratum = ""}}, 0).error().message,
            "split: 1 questions, want at least 2");
  EXPECT_EQ(
      split_questions({{.id = "a", .stratum = ""}, {.id = "a", .stratum = "b"}}, 0).error().message,
      "question 'a' occurs twice, want every id once");
}

TEST(AskingOrder, IsAPermutationOfItsSeed) {
  const std::vector<SplitQuestion> questions = some_questions();
  auto order = asking_order(questions, 1);
  ASSERT_TRUE(order.has_value());
  EXPECT_EQ(*order, *asking_order(questions, 1));
  EXPECT_NE(*order, *asking_order(questions, 2));
  std::ranges::sort(*order);
  for (size_t i = 0; i < order->size(); ++i) EXPECT_EQ((*order)[i], static_cast<int64_t>(i));
  EXPECT_TRUE(asking_order({}, 1)->empty());
}

}  // namespace
}  // namespace dovetail::eval
