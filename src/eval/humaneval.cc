#include "eval/humaneval.h"

#include <fmt/format.h>

#include "eval/python_text.h"

namespace dovetail::eval {
namespace {

constexpr int64_t kMaxNewTokens = 1024;

PromptParts parts_of(const HumanEvalRow& row, HumanEvalForm form) {
  if (form == HumanEvalForm::kPlain) return {.question = row.prompt};
  return {
      .question = fmt::format("Write a solution to the following problem and make sure that it "
                              "passes the tests:\n```python\n{}\n```\n",
                              row.prompt),
      .answer_prefix = fmt::format("Here is the completed function:\n```python\n{}\n", row.prompt)};
}

std::string tests_of(const HumanEvalRow& row) {
  return fmt::format("{}\ncheck({})", row.test, row.entry_point);
}

}  // namespace

std::string humaneval_candidate(const HumanEvalRow& row, HumanEvalForm form,
                                const std::string& generation) {
  if (form == HumanEvalForm::kPlain) return row.prompt + generation;
  return row.prompt + std::string(text_before(generation, "```"));
}

std::string humaneval_program(const HumanEvalRow& row, const std::string& candidate) {
  return candidate + "\n" + tests_of(row);
}

Result<Task> humaneval_task(const std::vector<HumanEvalRow>& rows, HumanEvalForm form,
                            const ProgramJudge& judge, const TaskParams& params) {
  Task task{.name = form == HumanEvalForm::kPlain ? "humaneval" : "humaneval_instruct",
            .kind = RequestKind::kGeneration,
            .metric = "pass@1",
            .mode = params.mode,
            .stops = {"\nclass", "\ndef", "\n#", "\nif", "\nprint"},
            .max_new_tokens = kMaxNewTokens};
  DOVETAIL_TRY(task.num_fewshot, fewshot_of(task.name, params, 0, 0));
  DOVETAIL_TRY(const int64_t count, limited(std::ssize(rows), params));
  for (int64_t i = 0; i < count; ++i) {
    const HumanEvalRow& row = rows[static_cast<size_t>(i)];
    Question question{.doc_id = i, .target = tests_of(row)};
    DOVETAIL_TRY(question.prompt, build_prompt(parts_of(row, form), params.chat));
    task.questions.push_back(std::move(question));
  }
  task.judge = [rows, form, judge](const Question& question,
                                   const std::string& generation) -> Result<Judgement> {
    const HumanEvalRow& row = rows[static_cast<size_t>(question.doc_id)];
    const std::string candidate = humaneval_candidate(row, form, generation);
    DOVETAIL_TRY(const bool passed, judge(humaneval_program(row, candidate)));
    return Judgement{
        .correct = passed,
        .readings = {
            {.filter = "create_test", .text = candidate, .correct = passed, .in_list = true}}};
  };
  return task;
}

}  // namespace dovetail::eval
