#include "study/accuracy.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "eval/accuracy_map.h"
#include "study/benchmark_target.h"

namespace dovetail::study {
namespace {

// Layers are restored in so many groups, beside the head.
constexpr int64_t kLayerGroups = 4;

// A target that could be opened, with the released model's answers; else why not.
struct OpenTarget {
  AccuracyTarget config;
  size_t product = 0;
  std::optional<BenchmarkTarget> questions = {};
  Json baseline = {};
  std::string why_not = {};
  std::vector<eval::AccuracyPoint> points = {};
  std::set<std::string> point_recipes = {};  // a recipe is one point, however many answers hold it
};

struct Judged {
  size_t scenario = 0;
  eval::Decision decision = eval::Decision::kUndecided;
  Json json = {};
  std::vector<std::vector<eval::Flip>> lost = {};  // by target
};

size_t product_of(const StudyConfig& config, const AccuracyTarget& target) {
  for (size_t i = 0; i < config.products.size(); ++i) {
    if (config.products[i].name == target.product) return i;
  }
  return 0;
}

// What cannot be run is no error of the study: it says so and goes on.
Result<OpenTarget> open_target(const StudyState& state, const AccuracyTarget& config,
                               const ProgressSink& progress) {
  OpenTarget target{.config = config, .product = product_of(state.config, config)};
  const ProductState& product = state.products[target.product];
  if (!product.measurable) {
    target.why_not = fmt::format("{} has no weights here", product.config.model);
    return target;
  }
  auto opened = BenchmarkTarget::open(config, static_cast<uint64_t>(state.config.text.seed));
  if (!opened.has_value()) {
    target.why_not = opened.error().message;
    return target;
  }
  auto baseline = opened->baseline(product, *state.memory, progress);
  if (!baseline.has_value()) {
    // The model cannot be asked this: too few positions, no token to begin with.
    if (baseline.error().code != ErrorCode::kInvalidArgument) {
      return std::unexpected(baseline.error());
    }
    target.why_not = baseline.error().message;
    return target;
  }
  target.questions = std::move(*opened);
  target.baseline = std::move(*baseline);
  return target;
}

const ProductState& product_under(const StudyStates& states, const ScenarioAnswer& answer,
                                  const OpenTarget& target) {
  return states[answer.joint.state].products[target.product];
}

recipe::Recipe recipe_under(const StudyStates& states, const ScenarioAnswer& answer,
                            const OpenTarget& target) {
  return recipe_of(product_under(states, answer, target),
                   answer.joint.settled.candidate.treatments[target.product]);
}

std::optional<double> certified_kl(const ScenarioAnswer& answer, size_t product) {
  if (product >= answer.joint.certified.size()) return std::nullopt;
  const MeasuredLoss& loss = answer.joint.certified[product];
  return loss.measured ? std::optional<double>(loss.kl_nats) : std::nullopt;
}

Result<TargetVerdict> judge_target(const StudyStates& states, const ScenarioAnswer& answer,
                                   OpenTarget& target, const ProgressSink& progress) {
  const recipe::Recipe recipe = recipe_under(states, answer, target);
  const std::string whose =
      fmt::format("the answer of {} at KL <= {:g}", search::objective_name(answer.objective),
                  answer.kl_cap_nats);
  DOVETAIL_TRY(TargetVerdict verdict,
               target.questions->judge(product_under(states, answer, target),
                                       *states.front().memory, recipe, target.baseline,
                                       certified_kl(answer, target.product), whose, progress));
  if (verdict.point.has_value() &&
      target.point_recipes.insert(recipe::recipe_to_toml(recipe)).second) {
    target.points.push_back(*verdict.point);
  }
  return verdict;
}

eval::Decision worse_of(eval::Decision a, eval::Decision b) {
  if (a == eval::Decision::kFail || b == eval::Decision::kFail) return eval::Decision::kFail;
  return a == eval::Decision::kPass ? b : a;
}

// Passing needs every target, so nothing is corrected for their number; the first one that fails
// ends the questions.
Result<Judged> judge_answer(const StudyStates& states, const ScenarioAnswer& answer,
                            size_t scenario, std::vector<OpenTarget>& targets,
                            const ProgressSink& progress) {
  Judged judged{.scenario = scenario, .decision = eval::Decision::kPass};
  Json verdicts = Json::array();
  for (size_t i = 0; i < targets.size(); ++i) {
    judged.lost.emplace_back();
    if (!targets[i].questions.has_value()) {
      judged.decision = worse_of(judged.decision, eval::Decision::kUndecided);
      continue;
    }
    if (judged.decision == eval::Decision::kFail) continue;
    DOVETAIL_TRY(TargetVerdict verdict, judge_target(states, answer, targets[i], progress));
    judged.decision = worse_of(judged.decision, verdict.decision);
    Json json = {{"target", i}, {"decision", eval::to_string(verdict.decision)}};
    const auto kl = certified_kl(answer, targets[i].product);
    json["certified_kl_nats"] = kl.has_value() ? Json(*kl) : Json();
    json.update(verdict.json);
    verdicts.push_back(std::move(json));
    judged.lost.back() = std::move(verdict.lost);
  }
  judged.json = {{"scenario", scenario},
                 {"objective", search::objective_name(answer.objective)},
                 {"kl_cap_nats", answer.kl_cap_nats},
                 {"decision", eval::to_string(judged.decision)},
                 {"targets", std::move(verdicts)}};
  return judged;
}

// The feasible answers of each objective, the smallest cap first.
std::map<std::string, std::vector<size_t>> sequences(const std::vector<ScenarioAnswer>& answers) {
  std::map<std::string, std::vector<size_t>> by_objective;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].joint.settled.feasible) continue;
    by_objective[search::objective_name(answers[i].objective)].push_back(i);
  }
  for (auto& [objective, indices] : by_objective) {
    std::ranges::sort(indices, {}, [&](size_t i) { return answers[i].kl_cap_nats; });
  }
  return by_objective;
}

struct LayerGroup {
  std::string name;
  int64_t begin = 0;
  int64_t end = 0;
  bool is_head = false;
};

std::vector<LayerGroup> layer_groups(int64_t num_layers) {
  std::vector<LayerGroup> groups;
  const int64_t count = std::min(kLayerGroups, num_layers);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = num_layers * i / count;
    const int64_t end = num_layers * (i + 1) / count;
    groups.push_back({fmt::format("layers {}-{}", begin, end - 1), begin, end, false});
  }
  groups.push_back({"head", 0, 0, true});
  return groups;
}

// Nothing where the group was not treated at all.
std::optional<recipe::Recipe> restored(const recipe::Recipe& recipe, const LayerGroup& group) {
  recipe::Recipe restored = recipe;
  if (group.is_head) restored.head = {};
  for (int64_t layer = group.begin; layer < group.end; ++layer) {
    restored.layers[static_cast<size_t>(layer)] = {};
  }
  if (restored == recipe) return std::nullopt;
  return restored;
}

// Each lost question with the groups that right it when they alone are as released.
Result<Json> explain_flips(const StudyStates& states, const ScenarioAnswer& answer,
                           const OpenTarget& target, const std::vector<eval::Flip>& lost,
                           const ProgressSink& progress) {
  const size_t count = std::min(lost.size(), static_cast<size_t>(target.config.explained_flips));
  const std::vector<eval::Flip> flips(lost.begin(),
                                      lost.begin() + static_cast<std::ptrdiff_t>(count));
  const ProductState& product = product_under(states, answer, target);
  const recipe::Recipe recipe = recipe_under(states, answer, target);
  Json rows = Json::array();
  std::map<std::pair<std::string, int64_t>, Json> righted_by;
  Json groups = Json::array();
  for (const LayerGroup& group : layer_groups(product.shape.num_layers)) {
    const auto candidate = restored(recipe, group);
    if (!candidate.has_value() || flips.empty()) continue;
    groups.push_back(group.name);
    DOVETAIL_TRY(const Json answered,
                 target.questions->ask_again(product, *states.front().memory, *candidate, flips,
                                             fmt::format("the answer with {} restored", group.name),
                                             progress));
    for (const Json& row : answered) {
      if (!row.at("correct").get<bool>()) continue;
      righted_by[{row.at("task").get<std::string>(), row.at("doc_id").get<int64_t>()}].push_back(
          group.name);
    }
  }
  for (const eval::Flip& flip : flips) {
    Json row = {{"task", flip.task}, {"doc_id", flip.doc_id}};
    if (flip.candidate_margin_nats.has_value()) {
      row["baseline_margin_nats"] = *flip.baseline_margin_nats;
      row["candidate_margin_nats"] = *flip.candidate_margin_nats;
    }
    const auto found = righted_by.find({flip.task, flip.doc_id});
    row["righted_by"] = found == righted_by.end() ? Json::array() : found->second;
    rows.push_back(std::move(row));
  }
  return Json{{"groups", std::move(groups)}, {"flips", std::move(rows)}};
}

Result<Json> target_to_json(const StudyState& state, const OpenTarget& target) {
  Json json = to_json(target.config);
  json["product"] = state.config.products[target.product].name;
  if (!target.questions.has_value()) {
    json["why_not"] = target.why_not;
    return json;
  }
  std::vector<bool> correct;
  for (const Json& row : target.baseline) correct.push_back(row.at("correct").get<bool>());
  json["num_questions"] = target.questions->num_questions();
  json["baseline"] = eval::score_to_json(eval::score_of(correct));
  if (target.questions->margin_frac() > 0) json["margin_frac"] = target.questions->margin_frac();
  json["points"] = Json::array();
  for (const eval::AccuracyPoint& point : target.points) {
    json["points"].push_back({{"kl_nats", point.kl_nats},
                              {"difference_frac", point.difference_frac},
                              {"stderr_frac", point.stderr_frac}});
  }
  json["map"] = Json();
  if (target.points.empty()) return json;
  DOVETAIL_TRY(const eval::AccuracyMap map, eval::fit_accuracy_map(target.points));
  json["map"] = eval::accuracy_map_to_json(map);
  return json;
}

// The one with the largest cap that passed; its flips are explained.
Result<Json> recommend(const StudyStates& states, const std::vector<ScenarioAnswer>& answers,
                       const std::vector<OpenTarget>& targets, const std::string& objective,
                       const std::vector<Judged>& sequence, const ProgressSink& progress) {
  const Judged* best = nullptr;
  for (const Judged& judged : sequence) {
    if (judged.decision == eval::Decision::kPass) best = &judged;
  }
  Json json = {{"objective", objective}, {"scenario", Json()}};
  if (best == nullptr) {
    json["why_not"] = sequence.empty() ? "no answer is feasible"
                                       : fmt::format("the answer with the smallest loss is {}",
                                                     eval::to_string(sequence.front().decision));
    return json;
  }
  json["scenario"] = best->scenario;
  json["explained"] = Json::array();
  for (size_t i = 0; i < targets.size(); ++i) {
    if (targets[i].config.explained_flips == 0 || !targets[i].questions.has_value()) continue;
    DOVETAIL_TRY(Json explained, explain_flips(states, answers[best->scenario], targets[i],
                                               best->lost[i], progress));
    explained["target"] = i;
    json["explained"].push_back(std::move(explained));
  }
  return json;
}

}  // namespace

Result<Json> judge_accuracy(const StudyStates& states, const std::vector<ScenarioAnswer>& answers,
                            const ProgressSink& progress) {
  const StudyState& first = states.front();
  if (first.config.accuracy.empty()) return Json();
  std::vector<OpenTarget> targets;
  for (const AccuracyTarget& config : first.config.accuracy) {
    DOVETAIL_TRY(OpenTarget target, open_target(first, config, progress));
    targets.push_back(std::move(target));
  }
  Json record = {
      {"targets", Json::array()}, {"answers", Json::array()}, {"recommended", Json::array()}};
  const bool can_judge = std::ranges::any_of(
      targets, [](const OpenTarget& target) { return target.questions.has_value(); });
  for (const auto& [objective, order] : sequences(answers)) {
    std::vector<Judged> sequence;
    for (const size_t scenario : order) {
      if (!can_judge) break;
      DOVETAIL_TRY(Judged judged,
                   judge_answer(states, answers[scenario], scenario, targets, progress));
      record["answers"].push_back(judged.json);
      sequence.push_back(std::move(judged));
      if (sequence.back().decision != eval::Decision::kPass) break;
    }
    DOVETAIL_TRY(Json recommended,
                 recommend(states, answers, targets, objective, sequence, progress));
    if (!can_judge) recommended["why_not"] = "no target could be run";
    record["recommended"].push_back(std::move(recommended));
  }
  for (const OpenTarget& target : targets) {
    DOVETAIL_TRY(Json json, target_to_json(first, target));
    record["targets"].push_back(std::move(json));
  }
  return record;
}

}  // namespace dovetail::study
