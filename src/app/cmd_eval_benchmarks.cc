// dovetail eval mmlu | gsm8k | gsm8k_cot | humaneval | humaneval_instruct | ifeval | wikitext:
// benchmarks as lm-eval asks them.
#include <array>
#include <fstream>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "app/chat_options.h"
#include "app/command.h"
#include "app/eval_benchmarks.h"
#include "app/model_scorer.h"
#include "eval/benchmark_data.h"
#include "eval/evaluate.h"
#include "eval/gsm8k.h"
#include "eval/humaneval.h"
#include "eval/ifeval.h"
#include "eval/mmlu.h"
#include "eval/sandbox.h"
#include "eval/wikitext.h"
#include "model/file_set.h"
#include "model/zoo.h"

namespace dovetail::app {
namespace {

struct BenchmarkOptions {
  std::string benchmark;
  std::string model;
  int64_t limit = 0;  // 0: all
  int64_t num_fewshot = 0;
  bool has_fewshot = false;
  std::string samples;
  std::string mode = "lm_eval";
  int64_t max_length = 0;
  bool fresh = false;
  ChatOptions chat;
  bool json = false;
};

eval::TaskParams task_params(const BenchmarkOptions& options, const Chat& chat) {
  eval::TaskParams params{
      .mode = options.mode == "fixed" ? eval::ScoringMode::kFixed : eval::ScoringMode::kLmEval,
      .chat = chat.params};
  if (options.has_fewshot) params.num_fewshot = options.num_fewshot;
  if (options.limit > 0) params.limit = options.limit;
  return params;
}

Result<std::vector<eval::Task>> make_ifeval(const eval::BenchmarkFiles& files,
                                            const eval::TaskParams& params) {
  DOVETAIL_TRY(const std::vector<eval::IfevalRow> rows, files.ifeval());
  DOVETAIL_TRY(const auto checker_files, model::read_file_set("ifeval"));
  DOVETAIL_TRY(eval::IfevalTools tools, eval::IfevalTools::create(checker_files));
  DOVETAIL_TRY(
      eval::Task task,
      eval::ifeval_task(rows, std::make_shared<const eval::IfevalTools>(std::move(tools)), params));
  return std::vector<eval::Task>{std::move(task)};
}

// Generated programs run in the sandbox or not at all.
Result<std::vector<eval::Task>> make_humaneval(const eval::BenchmarkFiles& files,
                                               eval::HumanEvalForm form,
                                               const eval::TaskParams& params) {
  DOVETAIL_TRY(const std::vector<eval::HumanEvalRow> rows, files.humaneval());
  DOVETAIL_TRY(const eval::Sandbox sandbox, eval::Sandbox::create());
  const auto judge = [sandbox](const std::string& program) -> Result<bool> {
    DOVETAIL_TRY(const std::vector<eval::ProgramResult> results, sandbox.run({program}));
    return results.front().outcome == eval::ProgramOutcome::kPassed;
  };
  DOVETAIL_TRY(eval::Task task, eval::humaneval_task(rows, form, judge, params));
  return std::vector<eval::Task>{std::move(task)};
}

Result<std::vector<eval::Task>> make_tasks(const BenchmarkOptions& options, const Chat& chat) {
  DOVETAIL_TRY(const eval::BenchmarkFiles files,
               eval::BenchmarkFiles::open(eval::benchmark_folder()));
  const eval::TaskParams params = task_params(options, chat);
  if (options.benchmark == "mmlu") return eval::mmlu_tasks(files, params);
  if (options.benchmark == "wikitext") {
    DOVETAIL_TRY(const std::vector<std::string> pages, files.wikitext_pages());
    DOVETAIL_TRY(eval::Task task, eval::wikitext_task(pages, params));
    return std::vector<eval::Task>{std::move(task)};
  }
  if (options.benchmark == "ifeval") return make_ifeval(files, params);
  if (options.benchmark == "humaneval") {
    return make_humaneval(files, eval::HumanEvalForm::kPlain, params);
  }
  if (options.benchmark == "humaneval_instruct") {
    return make_humaneval(files, eval::HumanEvalForm::kInstruct, params);
  }
  DOVETAIL_TRY(const std::vector<eval::Gsm8kRow> test, files.gsm8k("test"));
  if (options.benchmark == "gsm8k_cot") {
    DOVETAIL_TRY(const auto description, model::read_file_set("gsm8k_cot"));
    DOVETAIL_TRY(const std::vector<eval::Gsm8kRow> shots,
                 eval::parse_gsm8k_cot_shots(description.at("gsm8k-cot.yaml"), "gsm8k-cot.yaml"));
    DOVETAIL_TRY(eval::Task task, eval::gsm8k_cot_task(test, shots, params));
    return std::vector<eval::Task>{std::move(task)};
  }
  DOVETAIL_TRY(const std::vector<eval::Gsm8kRow> train, files.gsm8k("train"));
  DOVETAIL_TRY(eval::Task task, eval::gsm8k_task(test, train, params));
  return std::vector<eval::Task>{std::move(task)};
}

// One JSON object a line, each written out before the next question is asked.
class SampleFile {
 public:
  explicit SampleFile(const std::string& path) : path_(path), file_(path, std::ios::trunc) {}

  Status write(const Json& row) {
    file_ << row.dump() << std::endl;
    if (file_) return {};
    return io_error(fmt::format("{}: writing failed", path_));
  }
  [[nodiscard]] Status check_open() const {
    if (file_.is_open()) return {};
    return io_error(fmt::format("--samples = {}: cannot be opened for writing", path_));
  }

 private:
  std::string path_;
  std::ofstream file_;
};

void print_summary(const Json& summary) {
  for (const auto& [name, value] : summary.items()) {
    if (value.is_object()) {
      print_line(fmt::format("  {}: {:.2f} %, {} judged", name,
                             100 * value["score_frac"].get<double>(),
                             value["num_questions"].get<int64_t>()));
    } else {
      print_line(fmt::format("  {}: {}", name, value.dump()));
    }
  }
}

std::string percent(const eval::Score& score) {
  const std::string error = score.stderr_frac.has_value()
                                ? fmt::format(" +- {:.2f}", 100 * *score.stderr_frac)
                                : std::string(", standard error unknown");
  return fmt::format("{:.2f}{} %, {} questions", 100 * score.score_frac, error,
                     score.num_questions);
}

void print_evaluation(const BenchmarkOptions& options, const eval::Evaluation& evaluation) {
  const Json json = eval::evaluation_to_json(evaluation);
  const std::string tail =
      fmt::format("{}-shot, mode {}, {:.2f} questions/s", evaluation.num_fewshot, options.mode,
                  json["questions_per_s"].get<double>());
  if (evaluation.perplexity.has_value()) {
    const eval::PerplexityScore& score = *evaluation.perplexity;
    print_line(
        fmt::format("{}: {} word perplexity {:.4f}, byte perplexity {:.4f}, {:.4f} bits/byte, "
                    "{} pages, mode {}",
                    options.model, options.benchmark, score.word_perplexity, score.byte_perplexity,
                    score.bits_per_byte, evaluation.overall.num_questions, options.mode));
    return;
  }
  print_line(fmt::format("{}: {} {} {} ({})", options.model, options.benchmark, evaluation.metric,
                         percent(evaluation.overall), tail));
  for (const auto& [group, score] : evaluation.groups) {
    print_line(fmt::format("  {}: {}", group, percent(score)));
  }
  for (const Json& summary : evaluation.summary) print_summary(summary);
  if (evaluation.tasks.size() == 1) {
    for (const auto& [filter, score] : evaluation.tasks[0].by_filter) {
      print_line(fmt::format("  {}: {}", filter, percent(score)));
    }
  }
}

Status run_benchmark(const BenchmarkOptions& options) {
  DOVETAIL_TRY(const Chat chat, open_chat(options.chat, options.model));
  DOVETAIL_TRY(const std::vector<eval::Task> tasks, make_tasks(options, chat));
  DOVETAIL_TRY(const std::string path, model::resolve_model(options.model));
  DOVETAIL_TRY(const model::Tokenizer tokenizer, model::load_tokenizer(path));
  DOVETAIL_TRY(const ModelScorer loaded,
               load_scorer(path, {.max_length = options.max_length, .fresh = options.fresh}));
  eval::EvaluateParams params{.progress = terminal_progress()};
  std::unique_ptr<SampleFile> samples;
  if (!options.samples.empty()) {
    samples = std::make_unique<SampleFile>(options.samples);
    DOVETAIL_TRY_STATUS(samples->check_open());
    params.take_sample = [&](const Json& row) { return samples->write(row); };
  }
  auto evaluation = eval::evaluate(tasks, tokenizer, loaded.scorer(), params);
  end_progress();
  if (!evaluation.has_value()) return with_context(evaluation.error(), options.model);
  if (options.json) {
    Json json = eval::evaluation_to_json(*evaluation);
    json["benchmark"] = options.benchmark;
    json["model"] = options.model;
    json["tier"] = "executed";
    json["answers_remembered"] = loaded.cached != nullptr ? loaded.cached->stats().found : 0;
    json["chat"] = chat_to_json(options.chat, chat);
    print_json(json);
    return {};
  }
  print_evaluation(options, *evaluation);
  if (loaded.cached != nullptr && loaded.cached->stats().found > 0) {
    print_line(fmt::format("  {} of {} answers were remembered; --fresh asks all of them again",
                           loaded.cached->stats().found,
                           loaded.cached->stats().found + loaded.cached->stats().asked));
  }
  return {};
}

}  // namespace

void add_benchmark_commands(CLI::App& eval, Action& action) {
  constexpr std::array<std::pair<const char*, const char*>, 7> kBenchmarks = {
      {{"mmlu", "MMLU: 57 subjects, four choices"},
       {"gsm8k", "GSM8K: grade-school mathematics, 5 examples"},
       {"gsm8k_cot", "GSM8K with 8 fixed examples in words; first: dovetail pull gsm8k_cot"},
       {"humaneval", "HumanEval: functions to finish, run in a sandbox with their tests"},
       {"humaneval_instruct", "HumanEval asked for in words"},
       {"ifeval", "IFEval: instructions that a program can judge; first: dovetail pull ifeval"},
       {"wikitext", "WikiText-2: perplexity a word and a byte of whole pages"}}};
  for (const auto& [name, help] : kBenchmarks) {
    auto options = std::make_shared<BenchmarkOptions>();
    options->benchmark = name;
    CLI::App* command = eval.add_subcommand(name, help);
    command->add_option("model", options->model, "zoo name, GGUF file or model folder")->required();
    command
        ->add_option("--limit", options->limit, "the first questions of each subject or task only")
        ->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
    CLI::Option* fewshot =
        command->add_option("--num-fewshot", options->num_fewshot, "examples before each question")
            ->check(CLI::Range(int64_t{0}, int64_t{64}));
    command->add_option("--samples", options->samples,
                        "file for one JSON object a question and line");
    command
        ->add_option("--mode", options->mode,
                     "lm_eval: as lm-eval 0.4.13, its mistakes included; fixed: without them")
        ->check(CLI::IsMember({"lm_eval", "fixed"}))
        ->capture_default_str();
    command
        ->add_option("--max-length", options->max_length,
                     "tokens that the model sees at once, at most its own context")
        ->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
    command->add_flag("--fresh", options->fresh,
                      "ask again what was answered before by the same weights and numerics");
    add_chat_options(*command, options->chat);
    command->add_flag("--json", options->json, "print the record");
    command->callback([options, fewshot, &action] {
      options->has_fewshot = fewshot->count() > 0;
      action = [options] { return run_benchmark(*options); };
    });
  }
}

}  // namespace dovetail::app
