#include "study/benchmark_target.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/hash.h"
#include "eval/benchmarks.h"
#include "eval/question_split.h"
#include "eval/sequential.h"

namespace dovetail::study {
namespace {

// Share of the questions after which clear failures are looked for: more looks share fewer
// prefixes.
constexpr int64_t kFirstLook = 4;

std::string id_of(const std::string& task, int64_t doc_id) {
  return fmt::format("{}/{}", task, doc_id);
}

// The tasks with only the questions whose ids are in the set; tasks without any are left out.
std::vector<eval::Task> only(const std::vector<eval::Task>& tasks,
                             const std::set<std::string>& ids) {
  std::vector<eval::Task> kept;
  for (const eval::Task& task : tasks) {
    eval::Task part = task;
    std::erase_if(part.questions, [&](const eval::Question& question) {
      return !ids.contains(id_of(task.name, question.doc_id));
    });
    if (!part.questions.empty()) kept.push_back(std::move(part));
  }
  return kept;
}

std::string digest_of(const std::vector<eval::Task>& tasks) {
  std::string ids;
  for (const eval::Task& task : tasks) {
    for (const eval::Question& question : task.questions) {
      ids += fmt::format("{} {}\n", id_of(task.name, question.doc_id), sha256_hex(question.prompt));
    }
  }
  return sha256_hex(ids);
}

Result<std::vector<eval::SampleRow>> rows_from(const Json& json) {
  std::vector<eval::SampleRow> rows;
  for (const Json& row : json) {
    DOVETAIL_TRY(eval::SampleRow read, eval::sample_row_from_json(row));
    rows.push_back(std::move(read));
  }
  return rows;
}

// Those of the baseline's rows whose questions the candidate was asked, in the baseline's order.
std::vector<eval::SampleRow> asked_of(const std::vector<eval::SampleRow>& baseline,
                                      const std::vector<eval::SampleRow>& candidate) {
  std::set<std::string> ids;
  for (const eval::SampleRow& row : candidate) ids.insert(id_of(row.task, row.doc_id));
  std::vector<eval::SampleRow> rows;
  for (const eval::SampleRow& row : baseline) {
    if (ids.contains(id_of(row.task, row.doc_id))) rows.push_back(row);
  }
  return rows;
}

int64_t num_right(const std::vector<eval::SampleRow>& rows) {
  return std::ranges::count_if(rows, &eval::SampleRow::correct);
}

eval::VerdictKind kind_of(const AccuracyTarget& target) {
  return target.verdict == "benchmark" ? eval::VerdictKind::kBenchmark
                                       : eval::VerdictKind::kPopulation;
}

// Without a flip the spread is unknown; that of one flip is taken.
double stderr_of(const eval::PairedCounts& counts) {
  const auto n = static_cast<double>(counts.total());
  const double d = counts.difference_frac();
  const double variance = static_cast<double>(counts.gained + counts.lost) / n - d * d;
  return std::max(std::sqrt(std::max(0.0, variance) / n), 1 / n);
}

TargetVerdict verdict_of(eval::Decision decision, eval::Comparison compared) {
  return {.decision = decision,
          .json = eval::comparison_to_json(compared),
          .point = eval::AccuracyPoint{.difference_frac = compared.counts.difference_frac(),
                                       .stderr_frac = stderr_of(compared.counts)},
          .lost = std::move(compared.flips)};
}

}  // namespace

Result<BenchmarkTarget> BenchmarkTarget::open(const AccuracyTarget& config, uint64_t seed) {
  eval::TaskParams params{.mode = config.mode == "fixed" ? eval::ScoringMode::kFixed
                                                         : eval::ScoringMode::kLmEval};
  if (config.num_fewshot >= 0) params.num_fewshot = config.num_fewshot;
  if (config.questions_per_task > 0) {
    params.limit = config.questions_per_task;
    params.sample_seed = seed;
  }
  DOVETAIL_TRY(const std::vector<eval::Task> tasks, eval::make_benchmark(config.benchmark, params));
  BenchmarkTarget target;
  target.config_ = config;
  target.num_questions_ = eval::num_questions(tasks);
  std::vector<eval::SplitQuestion> questions;
  for (const eval::Task& task : tasks) {
    for (const eval::Question& question : task.questions) {
      questions.push_back({id_of(task.name, question.doc_id), task.name});
    }
  }
  DOVETAIL_TRY(const std::vector<int64_t> order, eval::asking_order(questions, seed));
  for (const int64_t index : order) {
    target.order_.push_back(questions[static_cast<size_t>(index)].id);
  }
  const auto split = target.order_.begin() + (target.num_questions_ + kFirstLook - 1) / kFirstLook;
  target.first_ = only(tasks, {target.order_.begin(), split});
  target.rest_ = only(tasks, {split, target.order_.end()});
  return target;
}

double BenchmarkTarget::margin_frac() const {
  if (config_.margin_questions == 0) return config_.margin_frac;
  return static_cast<double>(config_.margin_questions) / static_cast<double>(num_questions_);
}

Result<Json> BenchmarkTarget::ask(const ProductState& product, Memory& memory,
                                  const recipe::Recipe& recipe,
                                  const std::vector<eval::Task>& tasks, const std::string& whose,
                                  const ProgressSink& progress) const {
  if (tasks.empty()) return Json::array();
  DOVETAIL_TRY(const Json answers, product.lab->answers_key(recipe));
  const Json key = {{"answers", answers},
                    {"benchmark", config_.benchmark},
                    {"num_fewshot", config_.num_fewshot},
                    {"mode", config_.mode},
                    {"questions", digest_of(tasks)}};
  const std::string what = fmt::format("{} of {}", config_.benchmark, whose);
  const auto compute = [&] { return product.lab->ask(recipe, tasks, what, progress); };
  return memory.remember({.kind = "answers", .input = key, .compute = compute, .shared = true});
}

Result<Json> BenchmarkTarget::baseline(const ProductState& product, Memory& memory,
                                       const ProgressSink& progress) const {
  recipe::Recipe released;
  released.layers.resize(static_cast<size_t>(product.shape.num_layers));
  DOVETAIL_TRY(Json rows,
               ask(product, memory, released, first_, "the model as released", progress));
  DOVETAIL_TRY(const Json others,
               ask(product, memory, released, rest_, "the model as released", progress));
  std::map<std::string, Json> by_id;
  for (const Json* part : {&std::as_const(rows), &others}) {
    for (const Json& row : *part) {
      by_id[id_of(row.at("task").get<std::string>(), row.at("doc_id").get<int64_t>())] = row;
    }
  }
  Json ordered = Json::array();
  for (const std::string& id : order_) ordered.push_back(std::move(by_id.at(id)));
  return ordered;
}

Result<eval::FloorVerdict> BenchmarkTarget::judge_floor(
    const std::vector<eval::SampleRow>& candidate) const {
  eval::FloorParams params{
      .kind = kind_of(config_), .floor_frac = config_.floor_frac, .alpha = config_.alpha};
  if (params.kind == eval::VerdictKind::kBenchmark) params.benchmark_questions = num_questions_;
  return eval::floor_verdict(num_right(candidate), std::ssize(candidate), params);
}

Result<bool> BenchmarkTarget::fails_early(const std::vector<eval::SampleRow>& baseline,
                                          const std::vector<eval::SampleRow>& candidate) const {
  const bool benchmark = config_.verdict == "benchmark";
  if (config_.floor_frac > 0) {
    if (!benchmark) return false;
    DOVETAIL_TRY(const eval::FloorVerdict verdict, judge_floor(candidate));
    return verdict.decision == eval::Decision::kFail;
  }
  eval::SequentialParams params{.margin_frac = margin_frac(),
                                .alpha = benchmark ? config_.alpha : config_.alpha / 2};
  if (benchmark) params.num_benchmark_questions = num_questions_;
  DOVETAIL_TRY(eval::SequentialTest test, eval::SequentialTest::create(params));
  std::map<std::string, bool> answers;
  for (const eval::SampleRow& row : candidate) answers[id_of(row.task, row.doc_id)] = row.correct;
  for (const eval::SampleRow& row : baseline) {
    const auto after = static_cast<double>(answers.at(id_of(row.task, row.doc_id)));
    DOVETAIL_TRY_STATUS(test.add(after - static_cast<double>(row.correct)));
  }
  return test.decision() == eval::Decision::kFail;
}

Result<TargetVerdict> BenchmarkTarget::decide_floor(
    const std::vector<eval::SampleRow>& baseline,
    const std::vector<eval::SampleRow>& candidate) const {
  DOVETAIL_TRY(
      const eval::FloorVerdict verdict,
      eval::floor_verdict(num_right(candidate), std::ssize(candidate),
                          {.kind = kind_of(config_),
                           .floor_frac = config_.floor_frac,
                           .alpha = config_.alpha,
                           .benchmark_questions = config_.verdict == "benchmark"
                                                      ? std::optional<int64_t>(num_questions_)
                                                      : std::nullopt}));
  // Flips and surrogates are of interest beside a floor too; their verdict is not.
  DOVETAIL_TRY(const eval::Comparison compared,
               eval::compare_rows(baseline, candidate, {.margin_frac = 0.5}));
  TargetVerdict result{.decision = verdict.decision, .json = eval::comparison_to_json(compared)};
  result.json["verdict"] = eval::floor_verdict_to_json(verdict);
  result.json.erase("power");
  result.point = eval::AccuracyPoint{.difference_frac = compared.counts.difference_frac(),
                                     .stderr_frac = stderr_of(compared.counts)};
  result.lost = compared.flips;
  return result;
}

Result<TargetVerdict> BenchmarkTarget::decide_margin(
    const std::vector<eval::SampleRow>& baseline,
    const std::vector<eval::SampleRow>& candidate) const {
  eval::ComparisonParams params{
      .kind = kind_of(config_), .margin_frac = margin_frac(), .alpha = config_.alpha};
  if (config_.verdict == "benchmark") params.benchmark_questions = num_questions_;
  DOVETAIL_TRY(eval::Comparison compared, eval::compare_rows(baseline, candidate, params));
  eval::Verdict& verdict = compared.verdict;
  // Half of alpha went to the early look.
  if (verdict.kind == eval::VerdictKind::kPopulation && verdict.decision == eval::Decision::kFail &&
      verdict.p_fail > config_.alpha / 2) {
    verdict.decision = eval::Decision::kUndecided;
  }
  return verdict_of(verdict.decision, std::move(compared));
}

Result<TargetVerdict> BenchmarkTarget::decide(const std::vector<eval::SampleRow>& baseline,
                                              const std::vector<eval::SampleRow>& candidate) const {
  if (config_.floor_frac > 0) return decide_floor(baseline, candidate);
  return decide_margin(baseline, candidate);
}

Result<TargetVerdict> BenchmarkTarget::judge(const ProductState& product, Memory& memory,
                                             const recipe::Recipe& recipe, const Json& baseline,
                                             std::optional<double> kl_nats,
                                             const std::string& whose,
                                             const ProgressSink& progress) const {
  DOVETAIL_TRY(const std::vector<eval::SampleRow> before, rows_from(baseline));
  DOVETAIL_TRY(const Json first, ask(product, memory, recipe, first_, whose, progress));
  DOVETAIL_TRY(std::vector<eval::SampleRow> after, rows_from(first));
  std::vector<eval::SampleRow> asked = asked_of(before, after);
  DOVETAIL_TRY(const bool fails, fails_early(asked, after));
  if (!fails) {
    DOVETAIL_TRY(const Json rest, ask(product, memory, recipe, rest_, whose, progress));
    DOVETAIL_TRY(std::vector<eval::SampleRow> others, rows_from(rest));
    std::ranges::move(others, std::back_inserter(after));
    asked = before;
  }
  DOVETAIL_TRY(TargetVerdict verdict, decide(asked, after));
  if (fails) {
    verdict.decision = eval::Decision::kFail;
    verdict.json["verdict"]["decision"] = eval::to_string(verdict.decision);
    verdict.json["verdict"]["method"] = "betting, after a quarter of the questions";
  }
  verdict.stopped_early = fails && !rest_.empty();
  verdict.num_asked = std::ssize(after);
  std::erase_if(verdict.lost, [](const eval::Flip& flip) { return flip.gained; });
  if (kl_nats.has_value() && *kl_nats > 0) verdict.point->kl_nats = *kl_nats;
  if (!kl_nats.has_value() || *kl_nats <= 0) verdict.point.reset();
  verdict.json["num_asked"] = verdict.num_asked;
  verdict.json["stopped_early"] = verdict.stopped_early;
  return verdict;
}

Result<Json> BenchmarkTarget::ask_again(const ProductState& product, Memory& memory,
                                        const recipe::Recipe& recipe,
                                        const std::vector<eval::Flip>& questions,
                                        const std::string& whose,
                                        const ProgressSink& progress) const {
  std::set<std::string> ids;
  for (const eval::Flip& flip : questions) ids.insert(id_of(flip.task, flip.doc_id));
  std::vector<eval::Task> tasks = only(first_, ids);
  std::ranges::move(only(rest_, ids), std::back_inserter(tasks));
  return ask(product, memory, recipe, tasks, whose, progress);
}

}  // namespace dovetail::study
