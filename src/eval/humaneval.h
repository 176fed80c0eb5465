// HumanEval as lm-eval 0.4.13's `humaneval` and `humaneval_instruct` ask it: the model goes on with
// a function; the program made of it is run with the problem's tests by whoever is given in.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "eval/benchmark_data.h"
#include "eval/task.h"

namespace dovetail::eval {

enum class HumanEvalForm : uint8_t {
  kPlain,     // the prompt is the beginning of a file
  kInstruct,  // the prompt is asked for in words, and the answer is begun for the model
};

// Runs a Python program; true if it ends without an exception. Errors end the evaluation, because
// a program that could not be run is neither right nor wrong.
using ProgramJudge = std::function<Result<bool>(const std::string& program)>;

// What the model's text makes of the problem; instruct: up to the first code fence.
[[nodiscard]] std::string humaneval_candidate(const HumanEvalRow& row, HumanEvalForm form,
                                              const std::string& generation);
// The candidate and the tests, which call it by its name.
[[nodiscard]] std::string humaneval_program(const HumanEvalRow& row, const std::string& candidate);

// No examples. Errors: those of the parameters and of the chat template.
[[nodiscard]] Result<Task> humaneval_task(const std::vector<HumanEvalRow>& rows, HumanEvalForm form,
                                          const ProgramJudge& judge, const TaskParams& params);

}  // namespace dovetail::eval
