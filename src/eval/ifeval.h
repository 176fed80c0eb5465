// IFEval as lm-eval 0.4.13 asks it: 541 prompts with 834 instructions that a program can judge.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "eval/benchmark_data.h"
#include "eval/ifeval_checker.h"
#include "eval/task.h"

namespace dovetail::eval {

// The response and its seven variants that the loose judgement also takes: without its first line,
// its last line, both, and each of the four without asterisks. Repeated ones are left out.
[[nodiscard]] std::vector<std::string> loose_variants(const std::string& response);

// What a response is worth, instruction by instruction.
struct IfevalJudgement {
  std::vector<bool> strict = {};
  std::vector<bool> loose = {};  // some variant follows it
  // For instructions whose verdict comes from langdetect: the share of 20 further seeds whose
  // strict verdict is another one. -1 for the others.
  std::vector<double> flip_frac = {};
};

// Letters that lm-eval draws at random come from Python's Random(row.key), strict before loose;
// langdetect has seed 0 in kLmEval, and in kFixed the language that most of the seeds 0..20 find.
[[nodiscard]] Result<IfevalJudgement> judge_ifeval(const IfevalRow& row,
                                                   const std::string& response,
                                                   const IfevalTools& tools, ScoringMode mode);

// correct: all instructions followed, strictly. Errors: kInvalidArgument naming the prompt's key
// for an instruction that no checker can judge; those of the parameters and of the chat template.
[[nodiscard]] Result<Task> ifeval_task(const std::vector<IfevalRow>& rows,
                                       const std::shared_ptr<const IfevalTools>& tools,
                                       const TaskParams& params);

}  // namespace dovetail::eval
