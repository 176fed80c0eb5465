// MMLU as lm-eval 0.4.13's `mmlu` asks it: 57 subjects, four choices, 0 examples unless asked for.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/benchmark_data.h"
#include "eval/task.h"

namespace dovetail::eval {

struct MmluSubject {
  std::string_view name;   // "abstract_algebra"
  std::string_view group;  // "stem", "other", "social_sciences", "humanities"
};

// In alphabetical order.
[[nodiscard]] std::span<const MmluSubject> mmlu_subjects();

// `dev`: the examples, in file order. Errors: those of the parameters and of the chat template.
[[nodiscard]] Result<Task> mmlu_task(const MmluSubject& subject, const std::vector<MmluRow>& test,
                                     const std::vector<MmluRow>& dev, const TaskParams& params);
// All subjects. Errors: also those of the files.
[[nodiscard]] Result<std::vector<Task>> mmlu_tasks(const BenchmarkFiles& files,
                                                   const TaskParams& params);

}  // namespace dovetail::eval
