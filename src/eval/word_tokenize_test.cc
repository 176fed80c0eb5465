#include "eval/word_tokenize.h"

#include "eval/ifeval_fixture.h"

namespace dovetail::eval {
namespace {

TEST(WordTokenizer, SplitsTextsAsNltkDoes) {
  std::string missing;
  const auto tools = ifeval_tools(missing);
  if (tools == nullptr) GTEST_SKIP() << missing;
  const Json lm_eval = fixture("ifeval.json");
  ASSERT_GT(lm_eval["responses"].size(), 200U);
  for (const Json& response : lm_eval["responses"]) {
    const auto tokens = tools->words().tokens(response["text"].get<std::string>(), tools->punkt());
    ASSERT_TRUE(tokens.has_value()) << tokens.error().message;
    EXPECT_EQ(sha_of_parts(*tokens), response["tokens_sha"].get<std::string>()) << response["text"];
    EXPECT_EQ(std::ssize(*tokens), response["tokens"].get<int64_t>()) << response["text"];
  }
}

TEST(WordTokenizer, SplitsASentence) {
  const auto tokenizer = WordTokenizer::create();
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  EXPECT_EQ(tokenizer->tokens("I cannot pay $3.50, it's \"too much\".").value(),
            (std::vector<std::string>{"I", "can", "not", "pay", "$", "3.50", ",", "it", "'s", "``",
                                      "too", "much", "''", "."}));
}

}  // namespace
}  // namespace dovetail::eval
