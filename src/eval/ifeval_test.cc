#include "eval/ifeval.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "eval/evaluate.h"
#include "eval/ifeval_fixture.h"
#include "eval/python_text.h"

namespace dovetail::eval {
namespace {

class IfevalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string missing;
    tools_ = ifeval_tools(missing);
    if (tools_ == nullptr) GTEST_SKIP() << missing;
  }
  static std::vector<IfevalRow> rows() {
    const BenchmarkFiles files = benchmark_files();
    auto rows = files.ifeval();
    if (!rows.has_value()) ADD_FAILURE() << rows.error().message;
    return std::move(rows).value();
  }
  std::shared_ptr<const IfevalTools> tools_;
};

// Each instruction with its arguments once: many prompts share one. A drawn letter depends on the
// key.
std::string name_of(const IfevalRow& row, const IfevalInstruction& instruction) {
  const bool draws = instruction.id == "keywords:letter_frequency";
  return fmt::format("{} {} {}", instruction.id, instruction.arguments.dump(), draws ? row.key : 0);
}

TEST_F(IfevalTest, JudgesEveryInstructionAsLmEvalDoes) {
  const std::vector<IfevalRow> all = rows();
  ASSERT_EQ(all.size(), 541U);
  std::vector<std::string> prompts;
  for (const IfevalRow& row : all) prompts.push_back(row.prompt);
  const Json expected = fixture("ifeval.json");
  ASSERT_EQ(sha_of_parts(prompts), expected["prompts_sha"].get<std::string>());
  int64_t pairs = 0;
  int64_t differences = 0;
  for (const Json& response : expected["responses"]) {
    const auto text = response["text"].get<std::string>();
    const std::vector<bool> strict = unpacked(response["strict"]);
    const std::vector<bool> loose = unpacked(response["loose"]);
    std::map<std::string, std::pair<bool, bool>> known;
    size_t at = 0;
    for (const IfevalRow& row : all) {
      for (const IfevalInstruction& instruction : row.instructions) {
        const std::string name = name_of(row, instruction);
        if (!known.contains(name)) {
          const auto judged =
              judge_ifeval({.key = row.key, .prompt = "", .instructions = {instruction}}, text,
                           *tools_, ScoringMode::kLmEval);
          ASSERT_TRUE(judged.has_value()) << row.key << " " << judged.error().message;
          known[name] = {judged->strict[0], judged->loose[0]};
        }
        ++pairs;
        const bool is_same = known[name] == std::pair(bool{strict[at]}, bool{loose[at]});
        if (!is_same && ++differences < 20) {
          ADD_FAILURE() << row.key << " " << name << " strict " << strict[at] << " loose "
                        << loose[at] << "\n"
                        << response["text"];
        }
        ++at;
      }
    }
    ASSERT_EQ(at, 834U);
  }
  EXPECT_EQ(differences, 0);
  std::cout << pairs << " pairs of response and instruction, " << differences << " differences\n";
}

// The words and phrases that a prompt asks for.
std::string asked_for(const IfevalRow& row) {
  std::string asked;
  const auto add = [&](const Json& word) {
    asked += (asked.empty() ? "" : " ") + word.get<std::string>();
  };
  for (const IfevalInstruction& instruction : row.instructions) {
    std::map<std::string, Json> sorted;
    for (const auto& [key, value] : instruction.arguments.items()) sorted[key] = value;
    for (const auto& [key, value] : sorted) {
      if (value.is_string()) add(value);
      if (value.is_array()) std::for_each(value.begin(), value.end(), add);
    }
  }
  return asked;
}

TEST_F(IfevalTest, JudgesResponsesMadeForAPromptAsLmEvalDoes) {
  const std::vector<IfevalRow> all = rows();
  const Json expected = fixture("ifeval.json");
  ASSERT_EQ(expected["aimed"].size(), all.size());
  std::map<std::string, std::array<int64_t, 2>> outcomes;  // by checker: failed, followed
  for (size_t at = 0; at < all.size(); ++at) {
    const std::vector<bool> verdicts = unpacked(expected["aimed"][at]);
    const std::string asked = asked_for(all[at]);
    const size_t instructions = all[at].instructions.size();
    const size_t loose_begin = expected["templates"].size() * instructions;
    ASSERT_GE(verdicts.size(), 2 * loose_begin);
    for (size_t t = 0; t < expected["templates"].size(); ++t) {
      const auto form = expected["templates"][t].get<std::string>();
      const std::string text = form == "a" ? lower(asked) : replace_all(form, "A", asked);
      const auto judged = judge_ifeval(all[at], text, *tools_, ScoringMode::kLmEval);
      ASSERT_TRUE(judged.has_value()) << judged.error().message;
      for (size_t i = 0; i < instructions; ++i) {
        const bool strict = verdicts[t * instructions + i];
        EXPECT_EQ(judged->strict[i], strict) << all[at].instructions[i].id << "\n" << text;
        EXPECT_EQ(judged->loose[i], verdicts[loose_begin + t * instructions + i])
            << all[at].instructions[i].id << "\n"
            << text;
        ++outcomes[all[at].instructions[i].id][strict ? 1 : 0];
      }
    }
  }
  EXPECT_EQ(outcomes.size(), 25U);
  // What responses of the other test cannot reach.
  for (const char* id :
       {"combination:repeat_prompt", "keywords:frequency", "startend:end_checker"}) {
    EXPECT_GT(outcomes[id][0], 0) << id;
    EXPECT_GT(outcomes[id][1], 0) << id;
  }
  EXPECT_GT(outcomes["keywords:existence"][1], 0);
  EXPECT_GT(outcomes["keywords:forbidden_words"][0], 0);
}

TEST(LooseVariants, AreThoseOfLmEval) {
  EXPECT_EQ(loose_variants("a"), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(loose_variants("a\n*b*\n c\n"),
            (std::vector<std::string>{"a\n*b*\n c\n", "*b*\n c", "a\n*b*\n c", "a\nb\n c\n",
                                      "b\n c", "a\nb\n c"}));
  EXPECT_EQ(loose_variants("a\nb"), (std::vector<std::string>{"a\nb", "b", "a", ""}));
}

// Answers with one given text.
class FixedAnswer final : public Scorer {
 public:
  explicit FixedAnswer(std::vector<int32_t> tokens) : tokens_(std::move(tokens)) {}
  [[nodiscard]] int64_t max_length() const override { return 2048; }
  Result<std::vector<Loglikelihood>> loglikelihoods(const std::vector<LoglikelihoodRequest>&,
                                                    const ProgressSink&) override {
    return std::vector<Loglikelihood>();
  }
  Result<std::vector<std::vector<int32_t>>> generate(const std::vector<GenerationRequest>& requests,
                                                     const ProgressSink&) override {
    return std::vector<std::vector<int32_t>>(requests.size(), tokens_);
  }

 private:
  std::vector<int32_t> tokens_;
};

TEST_F(IfevalTest, TheTaskScoresPromptsAndInstructions) {
  const auto tokenizer = model::load_tokenizer(model::test_data("tokenizers/smollm2"));
  if (!tokenizer.has_value()) GTEST_SKIP() << tokenizer.error().message;
  const std::vector<IfevalRow> rows = {
      {.key = 7, .prompt = "p", .instructions = {{.id = "punctuation:no_comma"}}},
      {.key = 8,
       .prompt = "q",
       .instructions = {{.id = "detectable_format:title"},
                        {.id = "language:response_language", .arguments = {{"language", "en"}}}}}};
  const auto task = ifeval_task(rows, tools_, {});
  ASSERT_TRUE(task.has_value()) << task.error().message;
  EXPECT_EQ(task->max_new_tokens, 1280);
  FixedAnswer scorer(tokenizer->encode("The river runs past the old mill and nobody asks why."));
  std::vector<Json> written;
  const auto evaluation =
      evaluate({*task}, *tokenizer, scorer, {.take_sample = [&](const Json& row) {
                 written.push_back(row);
                 return Status();
               }});
  ASSERT_TRUE(evaluation.has_value()) << evaluation.error().message;
  EXPECT_DOUBLE_EQ(evaluation->overall.score_frac, 0.5);
  const Json json = evaluation_to_json(*evaluation);
  const Json& summary = json["summary"]["ifeval"];
  EXPECT_DOUBLE_EQ(summary["inst_level_strict_acc"]["score_frac"].get<double>(), 2.0 / 3);
  EXPECT_EQ(summary["inst_level_strict_acc"]["num_questions"], 3);
  EXPECT_EQ(summary["checker_noise_frac"], 0.0);
  EXPECT_EQ(summary["num_language_instructions"], 1);
  ASSERT_EQ(written.size(), 2U);
  EXPECT_EQ(written[1]["inst_level_strict_acc"], Json::parse("[false, true]"));
  EXPECT_EQ(written[1]["checker_noise_frac"], Json::parse("[null, 0.0]"));
  EXPECT_EQ(written[1]["prompt_level_strict_acc"], 0.0);
  EXPECT_EQ(written[1]["metrics"].size(), 4U);
  EXPECT_EQ(written[0]["prompt_level_loose_acc"], 1.0);
}

TEST_F(IfevalTest, ShortTextsFlipWithTheSeed) {
  const IfevalRow row{
      .key = 1,
      .prompt = "p",
      .instructions = {{.id = "language:response_language", .arguments = {{"language", "en"}}}}};
  const auto judged = judge_ifeval(row, "ok thanks, no problem", *tools_, ScoringMode::kLmEval);
  ASSERT_TRUE(judged.has_value());
  EXPECT_GT(judged->flip_frac[0], 0.0);
  EXPECT_LT(judged->flip_frac[0], 1.0);
}

TEST_F(IfevalTest, UnknownInstructionsAreRefused) {
  const std::vector<IfevalRow> rows = {
      {.key = 9, .prompt = "p", .instructions = {{.id = "keywords:rhyme"}}}};
  EXPECT_EQ(ifeval_task(rows, tools_, {}).error().message,
            "prompt 9: instruction keywords:rhyme: no such checker");
}

}  // namespace
}  // namespace dovetail::eval
