#include "eval/wikitext.h"

#include "eval/fixtures.h"

namespace dovetail::eval {
namespace {

TEST(Wikitext, DetokenizesAndCountsAsLmEvalDoes) {
  const Json answers = fixture("answers.json");
  ASSERT_GT(answers["wikitext"].size(), 100U);
  for (const Json& row : answers["wikitext"]) {
    const auto page = row[0].get<std::string>();
    EXPECT_EQ(detokenized_page(page).value_or("error"), row[1].get<std::string>()) << row[0];
    EXPECT_EQ(page_size(page, ScoringMode::kLmEval)->num_words, row[2].get<int64_t>()) << row[0];
  }
}

TEST(Wikitext, FixedCountsNoEmptyWords) {
  EXPECT_EQ(page_size(" a b\n", ScoringMode::kLmEval)->num_words, 4);
  EXPECT_EQ(page_size(" a b\n", ScoringMode::kFixed)->num_words, 2);
  EXPECT_EQ(page_size(" a b\n", ScoringMode::kFixed)->num_bytes, 5);
}

TEST(Wikitext, RefusesExamplesAndChatTemplates) {
  EXPECT_EQ(wikitext_task({"a"}, {.num_fewshot = 1}).error().message,
            "wikitext: num_fewshot = 1, want 0..0");
  TaskParams chat;
  chat.chat.render = [](const std::vector<Message>&, bool) { return std::string(); };
  EXPECT_EQ(wikitext_task({"a"}, chat).error().message,
            "wikitext: a chat template, want plain text");
}

}  // namespace
}  // namespace dovetail::eval
