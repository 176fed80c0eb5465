// GSM8K as lm-eval 0.4.13 asks it: `gsm8k` (5 examples drawn anew for each question, answers with
// their calculator marks) and `gsm8k_cot` (8 fixed examples in words).
#pragma once

#include <vector>

#include "eval/benchmark_data.h"
#include "eval/task.h"

namespace dovetail::eval {

// Examples come from `train` by Python's Random(1234), which goes on from question to question.
// Errors, here and below: those of the parameters and of the chat template.
[[nodiscard]] Result<Task> gsm8k_task(const std::vector<Gsm8kRow>& test,
                                      const std::vector<Gsm8kRow>& train, const TaskParams& params);
[[nodiscard]] Result<Task> gsm8k_cot_task(const std::vector<Gsm8kRow>& test,
                                          const std::vector<Gsm8kRow>& shots,
                                          const TaskParams& params);

// The examples of gsm8k_cot, from lm-eval's own description of the task (`dovetail pull
// gsm8k_cot`). Errors: kInvalidArgument (no YAML, no examples, one without question or target).
[[nodiscard]] Result<std::vector<Gsm8kRow>> parse_gsm8k_cot_shots(const std::string& yaml,
                                                                  const std::string& name);

}  // namespace dovetail::eval
