#include "eval/ifeval_checker.h"

#include "eval/ifeval_fixture.h"

namespace dovetail::eval {
namespace {

class CheckerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string missing;
    tools_ = ifeval_tools(missing);
    if (tools_ == nullptr) GTEST_SKIP() << missing;
  }
  bool follows_in(ScoringMode mode, const IfevalInstruction& instruction, const std::string& text) {
    const IfevalCheckParams params{.mode = mode,
                                   .language_seeds = mode == ScoringMode::kFixed
                                                         ? std::vector<uint64_t>{0, 1, 2, 3, 4}
                                                         : std::vector<uint64_t>{0}};
    const auto followed = follows(instruction, text, *tools_, params);
    if (!followed.has_value()) ADD_FAILURE() << followed.error().message;
    return followed.has_value() && followed->front();
  }
  std::shared_ptr<const IfevalTools> tools_;
};

TEST_F(CheckerTest, FixedJudgesWhatLmEvalGetsWrong) {
  const auto lm_eval = ScoringMode::kLmEval;
  const auto fixed = ScoringMode::kFixed;
  const IfevalInstruction capitals{.id = "change_case:english_capital"};
  const std::string shouted = "GO HOME NOW";
  EXPECT_FALSE(follows_in(lm_eval, capitals, shouted));
  EXPECT_TRUE(follows_in(fixed, capitals, shouted));
  const IfevalInstruction hindi{.id = "language:response_language",
                                .arguments = {{"language", "hi"}}};
  EXPECT_TRUE(follows_in(lm_eval, hindi, "12345"));
  EXPECT_FALSE(follows_in(fixed, hindi, "12345"));
  const IfevalInstruction json{.id = "detectable_format:json_format"};
  EXPECT_TRUE(follows_in(lm_eval, json, "{\"a\": NaN}"));
  EXPECT_FALSE(follows_in(fixed, json, "{\"a\": NaN}"));
  EXPECT_TRUE(follows_in(fixed, json, "{\"a\": 1}"));
}

TEST_F(CheckerTest, ABlankResponseFollowsNothing) {
  const IfevalInstruction no_comma{.id = "punctuation:no_comma"};
  for (const char* blank : {"", " \n", "\x1c\u2003"}) {
    EXPECT_FALSE(follows_in(ScoringMode::kLmEval, no_comma, blank));
    EXPECT_FALSE(follows_in(ScoringMode::kFixed, no_comma, blank));
  }
  EXPECT_TRUE(follows_in(ScoringMode::kLmEval, no_comma, "\u200b"));
}

TEST(DrawnLetter, IsDrawnOnlyWhereLmEvalDraws) {
  IfevalInstruction instruction{
      .id = "keywords:letter_frequency",
      .arguments = {{"letter", "!"}, {"let_frequency", 6}, {"let_relation", "at least"}}};
  // random.seed(1129); random.choice(string.ascii_letters), twice
  PythonRandom random(1129);
  const auto once = with_drawn_letter(instruction, ScoringMode::kLmEval, random);
  const auto twice = with_drawn_letter(instruction, ScoringMode::kLmEval, random);
  EXPECT_EQ(once.arguments["letter"], "U");
  EXPECT_EQ(twice.arguments["letter"], "F");
  EXPECT_EQ(with_drawn_letter(instruction, ScoringMode::kFixed, random).arguments["letter"], "!");
  instruction.arguments["letter"] = "Q";
  EXPECT_EQ(with_drawn_letter(instruction, ScoringMode::kLmEval, random).arguments["letter"], "Q");
}

TEST(CheckInstruction, NamesWhatIsWrong) {
  EXPECT_EQ(check_instruction({.id = "keywords:frequency", .arguments = {{"keyword", "a"}}})
                .error()
                .message,
            "instruction keywords:frequency: frequency is missing or not of its kind");
  EXPECT_EQ(check_instruction({.id = "length_constraints:number_words",
                               .arguments = {{"num_words", 5}, {"relation", "around"}}})
                .error()
                .message,
            "instruction length_constraints:number_words: relation is missing or not of its kind");
  EXPECT_TRUE(check_instruction({.id = "punctuation:no_comma"}).has_value());
  EXPECT_FALSE(
      check_instruction(
          {.id = "length_constraints:nth_paragraph_first_word",
           .arguments = {{"num_paragraphs", 2}, {"nth_paragraph", 3}, {"first_word", "a"}}})
          .has_value());
}

TEST(IfevalTools, NameTheFileThatIsMissing) {
  EXPECT_EQ(IfevalTools::create({}).error().message, "punkt_english/abbrev_types.txt: missing");
}

}  // namespace
}  // namespace dovetail::eval
