#include "search/enumerate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "search/closing.h"
#include "search/coarse_grid.h"
#include "search/evolve.h"
#include "search/find_chips.h"
#include "search/infeasible.h"
#include "search/product_check.h"
#include "search/whole_space_bound.h"

namespace dovetail::search {
namespace {

// When sustained power rejects every closed point of a scenario, the sweep is repeated with a
// longer ranking, so often at most.
constexpr int kMaxAttempts = 3;
constexpr int64_t kRankingGrowth = 8;
constexpr int64_t kMaxBoxes = 2000;  // for the bound that a heuristic answer is compared with

Status check_arguments(const std::vector<Product>& products, const Space& space,
                       const std::vector<Scenario>& scenarios, const EnumerateParams& params) {
  DOVETAIL_TRY_STATUS(check_products(products));
  DOVETAIL_TRY_STATUS(check_space(space));
  if (scenarios.empty()) return invalid_argument("scenarios is empty, want at least one");
  for (size_t i = 0; i < scenarios.size(); ++i) {
    if (!(scenarios[i].max_loss >= 0)) {
      return invalid_argument(
          fmt::format("scenarios[{}].max_loss = {}, want >= 0", i, scenarios[i].max_loss));
    }
  }
  if (params.top_k < 1) return invalid_argument(fmt::format("top_k = {}, want >= 1", params.top_k));
  if (!(params.front_epsilon_frac >= 1e-4) || !(params.front_epsilon_frac <= 1)) {
    return invalid_argument(
        fmt::format("front_epsilon_frac = {}, want 0.0001..1", params.front_epsilon_frac));
  }
  if (!(params.max_gap_frac >= 0) || !(params.max_gap_frac < 1)) {
    return invalid_argument(fmt::format("max_gap_frac = {}, want 0..1", params.max_gap_frac));
  }
  return {};
}

// Scenarios that differ in the scale alone share a question.
struct Plan {
  std::vector<JointQuestion> questions;
  std::vector<SweepTarget> targets;  // per scenario
};

Plan make_plan(const std::vector<Scenario>& scenarios) {
  Plan plan;
  for (const Scenario& scenario : scenarios) {
    const auto same = std::ranges::find_if(plan.questions, [&](const JointQuestion& question) {
      return question.metric == scenario.objective.metric && question.max_loss == scenario.max_loss;
    });
    const auto position = same - plan.questions.begin();
    if (same == plan.questions.end()) {
      plan.questions.push_back({scenario.objective.metric, scenario.max_loss});
    }
    plan.targets.push_back({static_cast<int64_t>(position), scenario.objective.scale});
  }
  return plan;
}

ScenarioResult make_scenario_result(const Scenario& scenario, ClosedTarget closed, int64_t top_k) {
  ScenarioResult result;
  result.scenario = scenario;
  result.feasible = !closed.points.empty();
  if (!result.feasible) return result;
  result.best = std::move(closed.points.front().candidate);
  for (size_t i = 1; i < closed.points.size() && std::ssize(result.runners_up) < top_k; ++i) {
    result.runners_up.push_back(std::move(closed.points[i].candidate));
  }
  return result;
}

struct Attempt {
  EnumerateResult result;
  bool wants_longer_ranking = false;
};

Result<Attempt> attempt(const std::vector<Product>& products, const Space& space,
                        const Budget& budget, const std::vector<Scenario>& scenarios,
                        const EnumerateParams& params, int64_t ranking_length,
                        const ProgressSink& progress) {
  const Plan plan = make_plan(scenarios);
  const std::unique_ptr<ChipQuestions> questions = joint_questions(products, plan.questions);
  const SweepParams sweep_params = {.prune = params.prune,
                                    .top_k = ranking_length,
                                    .keep_front = params.keep_front,
                                    .front_epsilon_frac = params.front_epsilon_frac};
  DOVETAIL_TRY(SweepOutcome outcome, find_chips(*questions, space, budget, plan.targets,
                                                sweep_params, params.method, progress));
  Attempt answer;
  answer.result.stats = std::move(outcome.stats);
  Closing closing(*questions, space, budget, params.max_gap_frac);
  int64_t over_power = 0;
  for (size_t i = 0; i < scenarios.size(); ++i) {
    report_progress(progress, "closing the best chips",
                    static_cast<double>(i) / static_cast<double>(scenarios.size()));
    DOVETAIL_TRY(ClosedTarget closed, closing.close_target(plan.targets[i], outcome.targets[i]));
    over_power += closed.num_over_sustained_power;
    const bool full = std::ssize(outcome.targets[i].ranking) == ranking_length;
    answer.wants_longer_ranking = answer.wants_longer_ranking || (closed.points.empty() && full);
    answer.result.scenarios.push_back(
        make_scenario_result(scenarios[i], std::move(closed), params.top_k));
  }
  if (over_power > 0) answer.result.stats.rejected["sustained_power"] = over_power;
  for (size_t q = 0; q < outcome.fronts.size(); ++q) {
    DOVETAIL_TRY(std::vector<ClosedPoint> points,
                 closing.close_all(static_cast<int64_t>(q), outcome.fronts[q]));
    for (ClosedPoint& point : points) {
      answer.result.front.push_back({.max_loss = plan.questions[q].max_loss,
                                     .metric_kind = plan.questions[q].metric,
                                     .candidate = std::move(point.candidate)});
    }
  }
  return answer;
}

// How far the best points are from a bound over the whole space, at most.
Result<double> bound_gap(const std::vector<Product>& products, const Space& space,
                         const Budget& budget, const std::vector<ScenarioResult>& scenarios) {
  std::vector<Scenario> asked;
  for (const ScenarioResult& scenario : scenarios) asked.push_back(scenario.scenario);
  const Plan plan = make_plan(asked);
  const std::unique_ptr<ChipQuestions> questions = joint_questions(products, plan.questions);
  DOVETAIL_TRY(const std::vector<double> bounds,
               whole_space_bounds(*questions, space, budget, plan.targets, kMaxBoxes));
  double gap = 0;
  for (size_t i = 0; i < scenarios.size(); ++i) {
    if (!scenarios[i].feasible) continue;
    gap = std::max(gap, 1 - bounds[i] / scenarios[i].best.objective);
  }
  return gap;
}

}  // namespace

Result<EnumerateResult> enumerate(const std::vector<Product>& products, const Space& space,
                                  const Budget& budget, const std::vector<Scenario>& scenarios,
                                  const EnumerateParams& params, const ProgressSink& progress) {
  DOVETAIL_TRY_STATUS(check_arguments(products, space, scenarios, params));
  const auto start = std::chrono::steady_clock::now();
  Attempt answer;
  int64_t ranking_length = params.top_k;
  for (int i = 0; i < kMaxAttempts; ++i, ranking_length *= kRankingGrowth) {
    DOVETAIL_TRY(answer,
                 attempt(products, space, budget, scenarios, params, ranking_length, progress));
    if (!answer.wants_longer_ranking) break;
  }
  EnumerateResult& result = answer.result;
  // Of a space too large to visit, the coarse grid stands for all.
  const Space explained =
      result.stats.exact ? space : coarse_grid(space, EvolveParams{}.max_grid_chips).space;
  for (const ScenarioResult& scenario : result.scenarios) {
    if (scenario.feasible) continue;
    DOVETAIL_TRY(const std::string reason,
                 explain_infeasible(products, explained, budget, scenario.scenario, result.stats));
    result.infeasible_reason += (result.infeasible_reason.empty() ? "" : "\n") + reason;
  }
  if (!result.stats.exact) {
    DOVETAIL_TRY(result.stats.bound_gap_frac, bound_gap(products, space, budget, result.scenarios));
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  result.stats.seconds = seconds.count();
  return std::move(result);
}

Result<Candidate> solve_on_chip(const std::vector<Product>& products, const chip::Chip& chip,
                                const Scenario& scenario, double max_gap_frac) {
  DOVETAIL_TRY_STATUS(check_products(products));
  DOVETAIL_TRY_STATUS(chip::check_chip(chip));
  const auto questions =
      joint_questions(products, {{scenario.objective.metric, scenario.max_loss}});
  DOVETAIL_TRY(ClosedPoint point, close_on_chip(*questions, chip, 0, max_gap_frac));
  set_objective(scenario.objective.scale, point.candidate);
  return std::move(point.candidate);
}

}  // namespace dovetail::search
