#include "eval/humaneval.h"

#include "eval/fixtures.h"
#include "eval/python_text.h"

namespace dovetail::eval {
namespace {

const HumanEvalRow kRow{.task_id = "HumanEval/0",
                        .prompt = "def f(x):\n",
                        .entry_point = "f",
                        .canonical_solution = "    return x\n",
                        .test = "def check(g):\n    assert g(1) == 1\n"};

TEST(HumanEval, AssemblesTheProgram) {
  EXPECT_EQ(humaneval_candidate(kRow, HumanEvalForm::kPlain, "  a\n```\nb"),
            "def f(x):\n  a\n```\nb");
  EXPECT_EQ(humaneval_candidate(kRow, HumanEvalForm::kInstruct, "  a\n```\nb```"),
            "def f(x):\n  a\n");
  EXPECT_EQ(humaneval_candidate(kRow, HumanEvalForm::kInstruct, "  a"), "def f(x):\n  a");
  EXPECT_EQ(humaneval_program(kRow, "def f(x):\n    return x\n"),
            "def f(x):\n    return x\n\ndef check(g):\n    assert g(1) == 1\n\ncheck(f)");
}

TEST(HumanEval, AsksTheJudge) {
  std::string seen;
  const auto task = humaneval_task({kRow}, HumanEvalForm::kPlain,
                                   [&](const std::string& program) -> Result<bool> {
                                     seen = program;
                                     return program.find("return x") != std::string::npos;
                                   },
                                   {});
  ASSERT_TRUE(task.has_value()) << task.error().message;
  const Judgement right = task->judge(task->questions[0], "    return x\n").value();
  EXPECT_TRUE(right.correct);
  EXPECT_TRUE(right.readings[0].in_list);  // lm-eval's filter gives a list of candidates
  EXPECT_EQ(seen, humaneval_program(kRow, "def f(x):\n    return x\n"));
  EXPECT_FALSE(task->judge(task->questions[0], "    pass\n")->correct);
}

TEST(HumanEval, AProgramThatCouldNotRunIsAnError) {
  const auto task = humaneval_task(
      {kRow}, HumanEvalForm::kPlain,
      [](const std::string&) -> Result<bool> { return unavailable("no sandbox"); }, {});
  EXPECT_EQ(task->judge(task->questions[0], "").error().message, "no sandbox");
}

TEST(HumanEval, TakesNoExamples) {
  EXPECT_EQ(humaneval_task({kRow}, HumanEvalForm::kPlain, {}, {.num_fewshot = 1}).error().message,
            "humaneval: num_fewshot = 1, want 0..0");
}

// No stop string cuts a solution that is known to be right.
TEST(HumanEval, CanonicalSolutionsAreNotCut) {
  DOVETAIL_SKIP_WITHOUT(model::test_data("eval/humaneval"));
  const auto rows = benchmark_files().humaneval().value();
  const Task task = humaneval_task(rows, HumanEvalForm::kPlain, {}, {}).value();
  for (const HumanEvalRow& row : rows) {
    for (const std::string& stop : task.stops) {
      EXPECT_EQ(text_before(row.canonical_solution, stop), row.canonical_solution) << row.task_id;
    }
  }
}

}  // namespace
}  // namespace dovetail::eval
