#include "eval/benchmarks.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "eval/benchmark_data.h"
#include "eval/gsm8k.h"
#include "eval/humaneval.h"
#include "eval/ifeval.h"
#include "eval/mmlu.h"
#include "eval/question_split.h"
#include "eval/sandbox.h"
#include "eval/wikitext.h"
#include "model/file_set.h"

namespace dovetail::eval {
namespace {

using Tasks = std::vector<Task>;

Tasks only(Task task) {
  Tasks tasks;
  tasks.push_back(std::move(task));
  return tasks;
}

Result<Tasks> make_gsm8k(const BenchmarkFiles& files, const TaskParams& params) {
  DOVETAIL_TRY(const std::vector<Gsm8kRow> test, files.gsm8k("test"));
  DOVETAIL_TRY(const std::vector<Gsm8kRow> train, files.gsm8k("train"));
  DOVETAIL_TRY(Task task, gsm8k_task(test, train, params));
  return only(std::move(task));
}

Result<Tasks> make_gsm8k_cot(const BenchmarkFiles& files, const TaskParams& params) {
  DOVETAIL_TRY(const std::vector<Gsm8kRow> test, files.gsm8k("test"));
  DOVETAIL_TRY(const auto description, model::read_file_set("gsm8k_cot"));
  DOVETAIL_TRY(const std::vector<Gsm8kRow> shots,
               parse_gsm8k_cot_shots(description.at("gsm8k-cot.yaml"), "gsm8k-cot.yaml"));
  DOVETAIL_TRY(Task task, gsm8k_cot_task(test, shots, params));
  return only(std::move(task));
}

// Generated programs run in the sandbox or not at all.
Result<Tasks> make_humaneval(const BenchmarkFiles& files, HumanEvalForm form,
                             const TaskParams& params) {
  DOVETAIL_TRY(const std::vector<HumanEvalRow> rows, files.humaneval());
  DOVETAIL_TRY(const Sandbox sandbox, Sandbox::create());
  const auto judge = [sandbox](const std::string& program) -> Result<bool> {
    DOVETAIL_TRY(const std::vector<ProgramResult> results, sandbox.run({program}));
    return results.front().outcome == ProgramOutcome::kPassed;
  };
  DOVETAIL_TRY(Task task, humaneval_task(rows, form, judge, params));
  return only(std::move(task));
}

Result<Tasks> make_ifeval(const BenchmarkFiles& files, const TaskParams& params) {
  DOVETAIL_TRY(const std::vector<IfevalRow> rows, files.ifeval());
  DOVETAIL_TRY(const auto checker_files, model::read_file_set("ifeval"));
  DOVETAIL_TRY(IfevalTools tools, IfevalTools::create(checker_files));
  DOVETAIL_TRY(Task task,
               ifeval_task(rows, std::make_shared<const IfevalTools>(std::move(tools)), params));
  return only(std::move(task));
}

Result<Tasks> make_wikitext(const BenchmarkFiles& files, const TaskParams& params) {
  DOVETAIL_TRY(const std::vector<std::string> pages, files.wikitext_pages());
  DOVETAIL_TRY(Task task, wikitext_task(pages, params));
  return only(std::move(task));
}

struct Benchmark {
  std::string_view name;
  Result<Tasks> (*make)(const BenchmarkFiles&, const TaskParams&);
};

constexpr std::array<Benchmark, 7> kBenchmarks = {
    {{"mmlu", mmlu_tasks},
     {"gsm8k", make_gsm8k},
     {"gsm8k_cot", make_gsm8k_cot},
     {"humaneval",
      [](const BenchmarkFiles& files, const TaskParams& params) {
        return make_humaneval(files, HumanEvalForm::kPlain, params);
      }},
     {"humaneval_instruct",
      [](const BenchmarkFiles& files, const TaskParams& params) {
        return make_humaneval(files, HumanEvalForm::kInstruct, params);
      }},
     {"ifeval", make_ifeval},
     {"wikitext", make_wikitext}}};

Status keep_sample(uint64_t seed, int64_t limit, Task& task) {
  if (limit < 1) return invalid_argument(fmt::format("limit = {}, want 1 or more", limit));
  if (limit >= std::ssize(task.questions)) return {};
  std::vector<SplitQuestion> ids;
  for (const Question& question : task.questions) {
    ids.push_back({fmt::format("{}/{}", task.name, question.doc_id), ""});
  }
  DOVETAIL_TRY(std::vector<int64_t> order, asking_order(ids, seed));
  order.resize(static_cast<size_t>(limit));
  std::ranges::sort(order);
  std::vector<Question> kept;
  for (const int64_t index : order) {
    kept.push_back(std::move(task.questions[static_cast<size_t>(index)]));
  }
  task.questions = std::move(kept);
  return {};
}

}  // namespace

const std::vector<std::string>& benchmark_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Benchmark& benchmark : kBenchmarks) all.emplace_back(benchmark.name);
    return all;
  }();
  return names;
}

Result<std::vector<Task>> make_benchmark(const std::string& name, const TaskParams& params) {
  const auto* const found = std::ranges::find(kBenchmarks, name, &Benchmark::name);
  if (found == kBenchmarks.end()) {
    return invalid_argument(
        fmt::format("benchmark = {}, want one of {}", name, fmt::join(benchmark_names(), ", ")));
  }
  DOVETAIL_TRY(const BenchmarkFiles files, BenchmarkFiles::open(benchmark_folder()));
  if (!params.sample_seed.has_value() || !params.limit.has_value()) {
    return found->make(files, params);
  }
  TaskParams whole = params;
  whole.limit.reset();
  DOVETAIL_TRY(Tasks tasks, found->make(files, whole));
  for (Task& task : tasks) {
    DOVETAIL_TRY_STATUS(keep_sample(*params.sample_seed, *params.limit, task));
  }
  return tasks;
}

int64_t num_questions(const std::vector<Task>& tasks) {
  int64_t questions = 0;
  for (const Task& task : tasks) questions += std::ssize(task.questions);
  return questions;
}

}  // namespace dovetail::eval
