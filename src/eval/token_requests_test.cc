#include "eval/token_requests.h"

#include <fstream>

#include "eval/fixtures.h"

namespace dovetail::eval {
namespace {

std::string tokenizer_folder(const std::string& name) {
  return model::test_data("tokenizers/" + name);
}

TEST(EncodePair, SplitsAsLmEvalDoes) {
  const Json tokens = fixture("tokens.json");
  for (const auto& [name, rows] : tokens["pairs"].items()) {
    DOVETAIL_SKIP_WITHOUT(tokenizer_folder(name));
    const auto tokenizer = model::load_tokenizer(tokenizer_folder(name));
    ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
    ASSERT_GT(rows.size(), 50U);
    for (const Json& row : rows) {
      const auto context = row[0].get<std::string>();
      // Without a context the first token is the caller's; Qwen3's file names another than the
      // oracle.
      if (context.empty() && tokenizer->bos_id() != row[2][0].get<int32_t>()) continue;
      const auto made = encode_pair(*tokenizer, context, row[1].get<std::string>());
      const auto continuation = row[3].get<std::vector<int32_t>>();
      if (continuation.empty()) {
        EXPECT_FALSE(made.has_value()) << row;
        continue;
      }
      ASSERT_TRUE(made.has_value()) << row << made.error().message;
      EXPECT_EQ(made->context, row[2].get<std::vector<int32_t>>()) << row;
      EXPECT_EQ(made->continuation, continuation) << row;
    }
  }
}

TEST(EncodePair, RefusesWhatHasNoToken) {
  DOVETAIL_SKIP_WITHOUT(tokenizer_folder("smollm2"));
  const auto tokenizer = model::load_tokenizer(tokenizer_folder("smollm2"));
  EXPECT_EQ(encode_pair(*tokenizer, "a", "").error().message,
            "continuation \"\" has no token of its own");
  EXPECT_EQ(encode_pair(*tokenizer, "  ", "a").error().message,
            "a prompt of white space has no token before its continuation");
}

// tests/golden/bos_tokenizer: what lm-eval makes of texts where BOS stands before every text.
class BosTokenizer : public testing::Test {
 protected:
  const std::string folder_ = "tests/golden/bos_tokenizer";
  const Json golden_ = Json::parse(std::ifstream(folder_ + "/requests.json"));
  const model::Tokenizer tokenizer_ = model::load_tokenizer(folder_).value();
};

TEST_F(BosTokenizer, StandsBeforeEveryTextThatDoesNotBeginWithIt) {
  ASSERT_TRUE(tokenizer_.adds_bos());
  for (const Json& row : golden_.at("texts")) {
    const auto text = row.at("text").get<std::string>();
    EXPECT_EQ(encode_request(tokenizer_, text), row.at("ids").get<std::vector<int32_t>>()) << row;
    EXPECT_EQ(tokenizer_.encode(text), row.at("plain_ids").get<std::vector<int32_t>>()) << row;
  }
}

TEST_F(BosTokenizer, PairsAreThoseOfLmEval) {
  for (const Json& row : golden_.at("pairs")) {
    const auto made = encode_pair(tokenizer_, row.at("context").get<std::string>(),
                                  row.at("continuation").get<std::string>());
    ASSERT_TRUE(made.has_value()) << row << made.error().message;
    EXPECT_EQ(made->context, row.at("context_ids").get<std::vector<int32_t>>()) << row;
    EXPECT_EQ(made->continuation, row.at("continuation_ids").get<std::vector<int32_t>>()) << row;
  }
}

TEST(TruncateLeft, KeepsTheLastTokens) {
  LoglikelihoodRequest request{.context = {1, 2, 3, 4}, .continuation = {5, 6}};
  EXPECT_FALSE(truncate_left(5, request).value());  // five are fed
  EXPECT_TRUE(truncate_left(3, request).value());
  EXPECT_EQ(request.context, (std::vector<int32_t>{3, 4}));
  EXPECT_TRUE(truncate_left(2, request).value());
  EXPECT_EQ(request.context, std::vector<int32_t>{4});
  EXPECT_EQ(truncate_left(1, request).error().message,
            "a continuation of 2 tokens, want at most 1");
}

TEST(RollingWindows, AreThoseOfLmEval) {
  const Json answers = fixture("answers.json");
  ASSERT_EQ(answers["windows"].size(), 24U * 5U);
  for (const Json& row : answers["windows"]) {
    std::vector<int32_t> tokens(row[0].get<size_t>());
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>(i);
    const auto windows = rolling_windows(tokens, -1, row[1].get<int64_t>());
    ASSERT_EQ(windows.size(), row[2].size()) << row;
    for (size_t i = 0; i < windows.size(); ++i) {
      EXPECT_EQ(windows[i].context, row[2][i][0].get<std::vector<int32_t>>()) << row;
      EXPECT_EQ(windows[i].continuation, row[2][i][1].get<std::vector<int32_t>>()) << row;
    }
  }
}

TEST(GeneratedText, IsCutAsLmEvalCutsIt) {
  DOVETAIL_SKIP_WITHOUT(tokenizer_folder("smollm2"));
  const auto tokenizer = model::load_tokenizer(tokenizer_folder("smollm2"));
  const Json answers = fixture("answers.json");
  ASSERT_GT(answers["stops"].size(), 50U);
  for (const Json& row : answers["stops"]) {
    const auto ids = tokenizer->encode(row[0].get<std::string>());
    EXPECT_EQ(generated_text(*tokenizer, ids, row[1]), row[2].get<std::string>()) << row;
  }
}

TEST(GeneratedText, HidesSpecialTokensAndMendsBrokenCharacters) {
  DOVETAIL_SKIP_WITHOUT(tokenizer_folder("smollm2"));
  const auto tokenizer = model::load_tokenizer(tokenizer_folder("smollm2"));
  EXPECT_EQ(generated_text(*tokenizer, tokenizer->encode(" a<|im_end|>b"), {}), " ab");
  std::vector<int32_t> ids = tokenizer->encode("x\U0001f9ff");
  ids.pop_back();  // the last byte of the character
  EXPECT_EQ(generated_text(*tokenizer, ids, {}), "x\ufffd");
}

TEST(StopCheck, LooksAtTheLastTokensAlone) {
  DOVETAIL_SKIP_WITHOUT(tokenizer_folder("smollm2"));
  const auto tokenizer = model::load_tokenizer(tokenizer_folder("smollm2"));
  const StopCheck is_done(*tokenizer, {"Question:"});
  EXPECT_FALSE(is_done({}));
  EXPECT_FALSE(is_done(tokenizer->encode("A question: Question")));
  EXPECT_TRUE(is_done(tokenizer->encode("text\n\nQuestion: ")));
  EXPECT_FALSE(is_done(tokenizer->encode("Question: and then a lot of other words")));
  EXPECT_TRUE(is_done({100, tokenizer->eos_id()}));
  const auto stops = with_end_of_text(*tokenizer, {"x"});
  ASSERT_EQ(stops.size(), 2U);
  EXPECT_EQ(stops[1], tokenizer->decode({tokenizer->eos_id()}));
  EXPECT_EQ(with_end_of_text(*tokenizer, stops).size(), 2U);
}

}  // namespace
}  // namespace dovetail::eval
