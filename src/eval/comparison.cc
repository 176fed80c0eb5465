#include "eval/comparison.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>
#include <utility>

#include <fmt/format.h>

namespace dovetail::eval {
namespace {

constexpr int64_t kMaxRowBytes = int64_t{4} << 20;
// Beyond these the chances take many seconds to sum.
constexpr int64_t kMaxPowerQuestions = 2500;

using Key = std::pair<std::string, int64_t>;

Key key_of(const SampleRow& row) {
  return {row.task, row.doc_id};
}

std::string words(const Key& key) {
  return fmt::format("{}, question {}", key.first, key.second);
}

Result<std::map<Key, const SampleRow*>> by_key(const std::vector<SampleRow>& rows,
                                               const char* whose) {
  std::map<Key, const SampleRow*> found;
  for (const SampleRow& row : rows) {
    if (!found.emplace(key_of(row), &row).second) {
      return invalid_argument(
          fmt::format("{}: {} occurs twice, want every question once", whose, words(key_of(row))));
    }
  }
  return found;
}

Status check_alike(const SampleRow& baseline, const SampleRow& candidate) {
  const std::string name = words(key_of(baseline));
  if (baseline.prompt_sha256 != candidate.prompt_sha256) {
    return invalid_argument(fmt::format("{}: the prompts differ (prompt_sha256)", name));
  }
  if (baseline.mode != candidate.mode) {
    return invalid_argument(
        fmt::format("{}: mode = {} and {}; scores of two modes are not compared", name,
                    baseline.mode, candidate.mode));
  }
  if (baseline.num_fewshot != candidate.num_fewshot) {
    return invalid_argument(fmt::format("{}: num_fewshot = {} and {}, want the same", name,
                                        baseline.num_fewshot, candidate.num_fewshot));
  }
  if (baseline.loglikelihoods.size() != candidate.loglikelihoods.size() ||
      baseline.target != candidate.target) {
    return invalid_argument(fmt::format("{}: the choices differ", name));
  }
  return {};
}

using Pairs = std::vector<std::pair<const SampleRow*, const SampleRow*>>;

Result<Pairs> pair_rows(const std::vector<SampleRow>& baseline,
                        const std::vector<SampleRow>& candidate) {
  if (baseline.empty()) return invalid_argument("the baseline has no question");
  DOVETAIL_TRY_STATUS(by_key(baseline, "baseline"));
  DOVETAIL_TRY(auto others, by_key(candidate, "candidate"));
  Pairs pairs;
  for (const SampleRow& row : baseline) {
    const auto other = others.find(key_of(row));
    if (other == others.end()) {
      return invalid_argument(
          fmt::format("{}: the candidate was not asked it", words(key_of(row))));
    }
    DOVETAIL_TRY_STATUS(check_alike(row, *other->second));
    pairs.emplace_back(&row, other->second);
    others.erase(other);
  }
  if (!others.empty()) {
    return invalid_argument(
        fmt::format("{}: the baseline was not asked it", words(others.begin()->first)));
  }
  return pairs;
}

bool has_choices(const SampleRow& row) {
  return row.loglikelihoods.size() >= 2 && row.target >= 0 &&
         row.target < std::ssize(row.loglikelihoods);
}

double gold_of(const SampleRow& row) {
  return row.loglikelihoods[static_cast<size_t>(row.target)];
}

double margin_of(const SampleRow& row) {
  double best_wrong = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < row.loglikelihoods.size(); ++i) {
    if (static_cast<int64_t>(i) != row.target) {
      best_wrong = std::max(best_wrong, row.loglikelihoods[i]);
    }
  }
  return gold_of(row) - best_wrong;
}

// Numbers of the tasks in the order of the rows.
struct TaskNumbers {
  std::vector<std::string> names;
  std::vector<int64_t> of_row;
};

TaskNumbers number_tasks(const Pairs& pairs) {
  TaskNumbers numbers;
  std::map<std::string, int64_t> known;
  for (const auto& [baseline, candidate] : pairs) {
    const auto [it, is_new] = known.emplace(baseline->task, std::ssize(numbers.names));
    if (is_new) numbers.names.push_back(baseline->task);
    numbers.of_row.push_back(it->second);
  }
  return numbers;
}

void count(const SampleRow& baseline, const SampleRow& candidate, PairedCounts& counts) {
  if (baseline.correct) ++(candidate.correct ? counts.both_right : counts.lost);
  if (!baseline.correct) ++(candidate.correct ? counts.gained : counts.both_wrong);
}

void list_flips(const Pairs& pairs, const TaskNumbers& numbers, Comparison& comparison) {
  for (const std::string& name : numbers.names) comparison.tasks.push_back({name, {}});
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto& [baseline, candidate] = pairs[i];
    count(*baseline, *candidate, comparison.counts);
    count(*baseline, *candidate, comparison.tasks[static_cast<size_t>(numbers.of_row[i])].counts);
    if (baseline->correct == candidate->correct) continue;
    Flip flip{.task = baseline->task, .doc_id = baseline->doc_id, .gained = candidate->correct};
    if (has_choices(*baseline)) {
      flip.baseline_margin_nats = margin_of(*baseline);
      flip.candidate_margin_nats = margin_of(*candidate);
    }
    comparison.flips.push_back(std::move(flip));
  }
}

Status measure_surrogates(const Pairs& pairs, const std::vector<int64_t>& clusters,
                          Comparison& comparison) {
  std::vector<double> gold;
  std::vector<double> margin;
  for (const auto& [baseline, candidate] : pairs) {
    if (!has_choices(*baseline)) return {};
    gold.push_back(gold_of(*candidate) - gold_of(*baseline));
    margin.push_back(margin_of(*candidate) - margin_of(*baseline));
  }
  DOVETAIL_TRY(comparison.gold_nats, paired_mean(gold, clusters));
  DOVETAIL_TRY(comparison.margin_nats, paired_mean(margin, clusters));
  return {};
}

Result<std::vector<Power>> power_around(const PairedCounts& counts, double margin_frac,
                                        double alpha) {
  const int64_t n = counts.total();
  std::vector<int64_t> numbers;
  for (const int64_t asked : {n / 4, n / 2, n, 2 * n}) {
    if (asked >= 1 && asked <= kMaxPowerQuestions) numbers.push_back(asked);
  }
  const auto whole = static_cast<double>(n);
  const FlipRates rates{.gained_frac = static_cast<double>(counts.gained) / whole,
                        .lost_frac = static_cast<double>(counts.lost) / whole};
  return power_curve(numbers, margin_frac, rates, alpha);
}

Result<Verdict> decide(const std::vector<bool>& baseline, const std::vector<bool>& candidate,
                       const std::vector<int64_t>& clusters, const ComparisonParams& params) {
  const VerdictParams verdict{.margin_frac = params.margin_frac, .alpha = params.alpha};
  if (params.kind == VerdictKind::kBenchmark) {
    return benchmark_verdict(baseline, candidate,
                             params.benchmark_questions.value_or(std::ssize(baseline)), verdict);
  }
  return population_verdict(baseline, candidate, verdict,
                            params.cluster_by_task ? clusters : std::vector<int64_t>{});
}

Json interval_to_json(const Interval& interval) {
  return Json{{"lower_frac", interval.lower},
              {"upper_frac", interval.upper},
              {"confidence_frac", interval.confidence_frac}};
}

Json counts_to_json(const PairedCounts& counts) {
  return Json{{"both_right", counts.both_right},
              {"gained", counts.gained},
              {"lost", counts.lost},
              {"both_wrong", counts.both_wrong}};
}

Json mean_to_json(const PairedMean& mean) {
  Json json = {{"mean", mean.mean}, {"stderr", Json()}};
  if (mean.std_error.has_value()) json["stderr"] = *mean.std_error;
  if (mean.interval.has_value()) {
    json["lower"] = mean.interval->lower;
    json["upper"] = mean.interval->upper;
  }
  return json;
}

Json flip_to_json(const Flip& flip) {
  Json json = {{"task", flip.task}, {"doc_id", flip.doc_id}, {"gained", flip.gained}};
  if (flip.baseline_margin_nats.has_value()) {
    json["baseline_margin_nats"] = *flip.baseline_margin_nats;
    json["candidate_margin_nats"] = *flip.candidate_margin_nats;
  }
  return json;
}

}  // namespace

Result<SampleRow> sample_row_from_json(const Json& json) {
  try {
    SampleRow row{.task = json.at("task").get<std::string>(),
                  .doc_id = json.at("doc_id").get<int64_t>(),
                  .mode = json.at("mode").get<std::string>(),
                  .num_fewshot = json.at("num_fewshot").get<int64_t>(),
                  .prompt_sha256 = json.at("prompt_sha256").get<std::string>(),
                  .correct = json.at("correct").get<bool>()};
    if (json.contains("loglikelihoods")) {
      row.loglikelihoods = json.at("loglikelihoods").get<std::vector<double>>();
      row.target = json.at("target").get<int64_t>();
    }
    return row;
  } catch (const Json::exception& error) {
    return invalid_argument(fmt::format("no row of a scored question: {}", error.what()));
  }
}

Result<std::vector<SampleRow>> read_sample_rows(const std::string& path) {
  std::ifstream file(path);
  if (!file) return io_error(fmt::format("{}: cannot be opened", path));
  std::vector<SampleRow> rows;
  std::string line;
  for (int64_t number = 1; std::getline(file, line); ++number) {
    const std::string where = fmt::format("{}, line {}", path, number);
    if (line.empty()) continue;
    if (std::ssize(line) > kMaxRowBytes) {
      return invalid_argument(
          fmt::format("{}: {} bytes, want at most {}", where, line.size(), kMaxRowBytes));
    }
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_discarded()) return invalid_argument(where + ": no JSON object");
    auto row = sample_row_from_json(json);
    if (!row.has_value()) return with_context(row.error(), where);
    rows.push_back(std::move(*row));
  }
  if (rows.empty()) return invalid_argument(fmt::format("{}: no row", path));
  return rows;
}

Result<Comparison> compare_rows(const std::vector<SampleRow>& baseline,
                                const std::vector<SampleRow>& candidate,
                                const ComparisonParams& params) {
  DOVETAIL_TRY(const Pairs pairs, pair_rows(baseline, candidate));
  std::vector<bool> before;
  std::vector<bool> after;
  std::vector<double> differences;
  for (const auto& [one, other] : pairs) {
    before.push_back(one->correct);
    after.push_back(other->correct);
    differences.push_back(static_cast<double>(other->correct) - static_cast<double>(one->correct));
  }
  const TaskNumbers numbers = number_tasks(pairs);
  Comparison comparison;
  list_flips(pairs, numbers, comparison);
  comparison.baseline = score_of(before);
  comparison.candidate = score_of(after);
  comparison.mcnemar = mcnemar(comparison.counts.gained, comparison.counts.lost);
  DOVETAIL_TRY(comparison.difference, tango_interval(comparison.counts));
  const bool several = numbers.names.size() > 1;
  if (several) {
    DOVETAIL_TRY(const PairedMean clustered, paired_mean(differences, numbers.of_row));
    comparison.clustered_difference = clustered.interval;
  }
  DOVETAIL_TRY(comparison.verdict, decide(before, after, numbers.of_row, params));
  if (params.kind == VerdictKind::kPopulation) {
    DOVETAIL_TRY(comparison.power,
                 power_around(comparison.counts, params.margin_frac, params.alpha));
  }
  DOVETAIL_TRY_STATUS(
      measure_surrogates(pairs, several ? numbers.of_row : std::vector<int64_t>{}, comparison));
  return comparison;
}

Json verdict_to_json(const Verdict& verdict) {
  Json json = {{"kind", to_string(verdict.kind)},
               {"decision", to_string(verdict.decision)},
               {"method", verdict.method},
               {"is_exact", verdict.is_exact},
               {"difference_frac", verdict.difference_frac},
               {"margin_frac", verdict.margin_frac},
               {"alpha", verdict.alpha},
               {"p_pass", verdict.p_pass},
               {"p_fail", verdict.p_fail},
               {"num_questions", verdict.counts.total()}};
  if (verdict.interval.has_value()) json["interval"] = interval_to_json(*verdict.interval);
  if (verdict.decision == Decision::kUndecided) {
    json["questions_to_decide"] =
        verdict.questions_to_decide.has_value() ? Json(*verdict.questions_to_decide) : Json();
  }
  return json;
}

Json comparison_to_json(const Comparison& comparison, size_t max_flips) {
  Json json = {{"verdict", verdict_to_json(comparison.verdict)},
               {"baseline", score_to_json(comparison.baseline)},
               {"candidate", score_to_json(comparison.candidate)},
               {"counts", counts_to_json(comparison.counts)},
               {"mcnemar_p_exact", comparison.mcnemar.p_exact},
               {"mcnemar_p_mid", comparison.mcnemar.p_mid},
               {"difference", interval_to_json(comparison.difference)}};
  if (comparison.clustered_difference.has_value()) {
    json["difference_clustered_by_task"] = interval_to_json(*comparison.clustered_difference);
  }
  if (comparison.gold_nats.has_value()) {
    json["gold_nats"] = mean_to_json(*comparison.gold_nats);
    json["margin_nats"] = mean_to_json(*comparison.margin_nats);
  }
  for (const Power& power : comparison.power) {
    json["power"].push_back(Json{{"num_questions", power.num_questions},
                                 {"pass_frac", power.pass_frac},
                                 {"fail_frac", power.fail_frac}});
  }
  json["tasks"] = Json::array();
  for (const TaskFlips& task : comparison.tasks) {
    Json row = {{"task", task.task}};
    row.update(counts_to_json(task.counts));
    json["tasks"].push_back(std::move(row));
  }
  json["flips"] = Json::array();
  for (const Flip& flip : comparison.flips) {
    if (json["flips"].size() == max_flips) break;
    json["flips"].push_back(flip_to_json(flip));
  }
  return json;
}

}  // namespace dovetail::eval
