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
#include "eval/benchmarks.h"
#include "eval/evaluate.h"
#include "model/zoo.h"

namespace dovetail::app {
namespace {

struct BenchmarkOptions {
  std::string benchmark;
  std::string model;
  int64_t limit = 0;         // 0: all
  int64_t sample_seed = -1;  // below 0: the first questions
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
  if (options.sample_seed >= 0) params.sample_seed = static_cast<uint64_t>(options.sample_seed);
  return params;
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
  DOVETAIL_TRY(const std::vector<eval::Task> tasks,
               eval::make_benchmark(options.benchmark, task_params(options, chat)));
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
    json["sample_seed"] = options.sample_seed >= 0 ? Json(options.sample_seed) : Json();
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
    CLI::Option* limit = command->add_option("--limit", options->limit,
                                             "the first questions of each subject or task only");
    limit->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
    command
        ->add_option("--sample-seed", options->sample_seed,
                     "--limit takes a random sample by this seed instead of the first")
        ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
        ->needs(limit);
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
