// dovetail eval mmlu | gsm8k | gsm8k_cot | wikitext: benchmarks as lm-eval asks them.
#include <array>
#include <fstream>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "app/chat_options.h"
#include "app/command.h"
#include "app/eval_benchmarks.h"
#include "checkpoint/manifest.h"
#include "eval/benchmark_data.h"
#include "eval/evaluate.h"
#include "eval/gsm8k.h"
#include "eval/host_scorer.h"
#include "eval/mmlu.h"
#include "eval/wikitext.h"
#include "model/zoo.h"
#include "recipe/site.h"

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
  ChatOptions chat;
  bool json = false;
};

// A checkpoint runs with the numerics that it says.
Result<host::HostModel> load_host_model(const std::string& path) {
  DOVETAIL_TRY(model::Weights weights, model::load_weights(path));
  const model::ModelShape shape = weights.shape;
  DOVETAIL_TRY(host::HostModel model,
               host::HostModel::create(std::make_shared<const model::Weights>(std::move(weights))));
  DOVETAIL_TRY(const auto manifest, checkpoint::find_manifest(path));
  if (manifest.has_value()) {
    DOVETAIL_TRY(const recipe::Recipe recipe,
                 recipe::parse_recipe(shape, manifest->recipe_toml, path));
    DOVETAIL_TRY_STATUS(model.set_numerics(host::numerics_of(recipe)));
  }
  return model;
}

eval::TaskParams task_params(const BenchmarkOptions& options, const Chat& chat) {
  eval::TaskParams params{
      .mode = options.mode == "fixed" ? eval::ScoringMode::kFixed : eval::ScoringMode::kLmEval,
      .chat = chat.params};
  if (options.has_fewshot) params.num_fewshot = options.num_fewshot;
  if (options.limit > 0) params.limit = options.limit;
  return params;
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
  DOVETAIL_TRY(const std::vector<eval::Gsm8kRow> test, files.gsm8k("test"));
  if (options.benchmark == "gsm8k_cot") {
    DOVETAIL_TRY(eval::Task task, eval::gsm8k_cot_task(test, params));
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
  DOVETAIL_TRY(const host::HostModel model, load_host_model(path));
  DOVETAIL_TRY(const std::unique_ptr<eval::Scorer> scorer,
               eval::make_host_scorer(model, options.max_length));
  eval::EvaluateParams params{.progress = terminal_progress()};
  std::unique_ptr<SampleFile> samples;
  if (!options.samples.empty()) {
    samples = std::make_unique<SampleFile>(options.samples);
    DOVETAIL_TRY_STATUS(samples->check_open());
    params.take_sample = [&](const Json& row) { return samples->write(row); };
  }
  auto evaluation = eval::evaluate(tasks, tokenizer, *scorer, params);
  end_progress();
  if (!evaluation.has_value()) return with_context(evaluation.error(), options.model);
  if (options.json) {
    Json json = eval::evaluation_to_json(*evaluation);
    json["benchmark"] = options.benchmark;
    json["model"] = options.model;
    json["tier"] = "executed";
    json["chat"] = chat_to_json(options.chat, chat);
    print_json(json);
    return {};
  }
  print_evaluation(options, *evaluation);
  return {};
}

}  // namespace

void add_benchmark_commands(CLI::App& eval, Action& action) {
  constexpr std::array<std::pair<const char*, const char*>, 4> kBenchmarks = {
      {{"mmlu", "MMLU: 57 subjects, four choices"},
       {"gsm8k", "GSM8K: grade-school mathematics, 5 examples"},
       {"gsm8k_cot", "GSM8K with 8 fixed examples in words"},
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
    add_chat_options(*command, options->chat);
    command->add_flag("--json", options->json, "print the record");
    command->callback([options, fewshot, &action] {
      options->has_fewshot = fewshot->count() > 0;
      action = [options] { return run_benchmark(*options); };
    });
  }
}

}  // namespace dovetail::app
