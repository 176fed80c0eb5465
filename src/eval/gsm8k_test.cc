#include "eval/gsm8k.h"

#include "base/hash.h"
#include "eval/fixtures.h"

namespace dovetail::eval {
namespace {

const std::vector<Gsm8kRow> kRows = {{.question = "q", .answer = "2 * 500 = 1,000\n#### 1,000"},
                                     {.question = "r", .answer = "#### 18"}};

Judgement judged(const Task& task, const std::string& generation, size_t question = 0) {
  return task.judge(task.questions[question], generation).value();
}

TEST(Gsm8k, ModesReadDifferently) {
  const Task lm_eval = gsm8k_cot_task(kRows, kRows, {}).value();
  const Task fixed = gsm8k_cot_task(kRows, kRows, {.mode = ScoringMode::kFixed}).value();
  EXPECT_EQ(lm_eval.questions[0].target, "1,000");
  // lm-eval's pattern wants one more character behind the number and takes it from the number.
  const Judgement cut = judged(lm_eval, " The answer is 1000");
  EXPECT_EQ(cut.readings[0].text, "100");
  EXPECT_FALSE(cut.correct);
  EXPECT_TRUE(cut.readings[1].correct);
  EXPECT_TRUE(judged(fixed, " The answer is 1000").correct);
  EXPECT_TRUE(judged(fixed, " The answer is $1,000.00.").correct);
  EXPECT_FALSE(judged(lm_eval, " The answer is 1,000.00.").correct);
  // Three full stops are a number for lm-eval's second reading.
  EXPECT_EQ(judged(lm_eval, "18 eggs...", 1).readings[1].text, "...");
  EXPECT_TRUE(judged(fixed, "18 eggs...", 1).readings[1].correct);
  EXPECT_FALSE(judged(fixed, "no number", 1).readings[1].correct);
}

TEST(Gsm8k, ReadsItsOwnAnswers) {
  for (const ScoringMode mode : {ScoringMode::kLmEval, ScoringMode::kFixed}) {
    const Task task = gsm8k_task(kRows, kRows, {.mode = mode, .num_fewshot = 1}).value();
    for (size_t i = 0; i < kRows.size(); ++i) {
      const Judgement verdict = judged(task, kRows[i].answer, i);
      EXPECT_TRUE(verdict.correct);
      EXPECT_TRUE(verdict.readings[1].correct);
    }
    EXPECT_FALSE(judged(task, "#### 19", 1).correct);
    EXPECT_FALSE(judged(task, "").correct);
    EXPECT_EQ(judged(task, "").readings[0].text, "[invalid]");
  }
}

TEST(Gsm8k, RefusesMoreExamplesThanThereAre) {
  EXPECT_EQ(gsm8k_task(kRows, kRows, {.num_fewshot = 3}).error().message,
            "gsm8k: num_fewshot = 3, want 0..2");
  EXPECT_EQ(gsm8k_cot_task(kRows, kRows, {.num_fewshot = 3}).error().message,
            "gsm8k_cot: num_fewshot = 3, want 0..2");
}

TEST(Gsm8k, ExamplesComeFromADescriptionOfTheTask) {
  const auto shots = parse_gsm8k_cot_shots(
      "fewshot_config:\n  samples:\n  - question: Two and\n      two?\n    target: Four. The "
      "answer is 4.\n",
      "cot.yaml");
  ASSERT_TRUE(shots.has_value());
  ASSERT_EQ(shots->size(), 1U);
  EXPECT_EQ(shots->front().question, "Two and two?");
  EXPECT_EQ(shots->front().answer, "Four. The answer is 4.");
  for (const char* bad : {"", "fewshot_config: {samples: []}", "- [", "a: b",
                          "fewshot_config: {samples: [{question: q}]}"}) {
    const auto refused = parse_gsm8k_cot_shots(bad, "cot.yaml");
    ASSERT_FALSE(refused.has_value()) << bad;
    EXPECT_EQ(refused.error().message.find("cot.yaml: "), 0U) << refused.error().message;
  }
}

// Every reference answer, given as the generation, is right by both readings.
TEST(Gsm8k, ReferencesAreRight) {
  DOVETAIL_SKIP_WITHOUT(model::test_data("eval/gsm8k"));
  const BenchmarkFiles files = benchmark_files();
  const auto test = files.gsm8k("test").value();
  for (const ScoringMode mode : {ScoringMode::kLmEval, ScoringMode::kFixed}) {
    const Task task = gsm8k_task(test, files.gsm8k("train").value(), {.mode = mode}).value();
    EXPECT_EQ(sha256_hex(task.questions[0].prompt),
              "32680f263ba83280e98a8a24ceefed10a722a4cdcd9f4d78e93c45d43143ca66");
    for (size_t i = 0; i < test.size(); ++i) {
      const Judgement verdict = judged(task, " " + test[i].answer, i);
      EXPECT_TRUE(verdict.correct && verdict.readings[1].correct) << i << " " << test[i].answer;
    }
  }
}

}  // namespace
}  // namespace dovetail::eval
