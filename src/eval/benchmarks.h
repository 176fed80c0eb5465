// The benchmarks by name, from the files that are here.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "eval/task.h"

namespace dovetail::eval {

// "mmlu", "gsm8k", "gsm8k_cot", "humaneval", "humaneval_instruct", "ifeval", "wikitext".
[[nodiscard]] const std::vector<std::string>& benchmark_names();

// The questions of a benchmark. With params.sample_seed and params.limit: of each subject or task
// a random sample without replacement that depends on the questions' ids and the seed alone, in
// file order; what is said of a population wants one.
// Errors: those of the files (missing, altered: named), of the sandbox where programs are to be
// run, of the task; kInvalidArgument (unknown name).
[[nodiscard]] Result<std::vector<Task>> make_benchmark(const std::string& name,
                                                       const TaskParams& params);

// Number of questions of all tasks.
[[nodiscard]] int64_t num_questions(const std::vector<Task>& tasks);

}  // namespace dovetail::eval
