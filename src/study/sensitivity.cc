#include "study/sensitivity.h"

#include <memory>
#include <optional>
#include <vector>

#include <fmt/format.h>

namespace dovetail::study {
namespace {

// The constants that price units of several formats: estimates until such units are synthesised.
constexpr const char* kSharedUnitConstants[] = {"arith.sharing.shared_frac",
                                                "arith.sharing.composed_overhead_frac"};

struct Winner {
  bool feasible = false;
  std::string chip_name;
  double objective = 0;
};

Result<Winner> winner_with(const StudyState& state, const ScenarioAnswer& answer,
                           const silicon::Technology& technology, const ProgressSink& progress) {
  std::vector<std::unique_ptr<silicon::CostModel>> costs;
  std::vector<search::Product> products = search_products(state);
  for (size_t i = 0; i < products.size(); ++i) {
    const ProductState& product = state.products[i];
    DOVETAIL_TRY(silicon::CostModel made,
                 silicon::CostModel::create(product.shape, product.workload, product.losses.menu,
                                            technology));
    costs.push_back(std::make_unique<silicon::CostModel>(std::move(made)));
    products[i].costs = costs.back().get();
  }
  const search::Scenario scenario{answer.objective, answer.joint.settled.predicted_cap};
  DOVETAIL_TRY(const search::EnumerateResult result,
               search::enumerate(products, *state.config.space, state.config.budget, {scenario},
                                 {.keep_front = false}, progress));
  const search::ScenarioResult& best = result.scenarios[0];
  if (!best.feasible) return Winner{};
  return Winner{true, best.best.chip.name, best.best.objective};
}

Json winner_name(const Winner& winner) {
  return winner.feasible ? Json(winner.chip_name) : Json();
}

}  // namespace

Result<Json> sensitivity_to_json(const StudyState& state, const ScenarioAnswer& answer,
                                 const ProgressSink& progress) {
  Json rows = Json::array();
  if (!state.config.space.has_value() || !answer.joint.settled.feasible) return rows;
  // The same predicted cap with the constants as they are: the confirmed answer may have come from
  // a baseline, so it is not what the ends of the range are compared with.
  DOVETAIL_TRY(const Winner nominal, winner_with(state, answer, state.technology, progress));
  for (const char* key : kSharedUnitConstants) {
    const auto constant = state.technology.constants().find(key);
    if (constant == state.technology.constants().end()) continue;
    const auto [low, high] = std::pair(constant->second.low, constant->second.high);
    DOVETAIL_TRY(const Winner at_low,
                 winner_with(state, answer, state.technology.with(key, low), progress));
    DOVETAIL_TRY(const Winner at_high,
                 winner_with(state, answer, state.technology.with(key, high), progress));
    const auto change = [&](const Winner& winner) {
      return winner.feasible && nominal.feasible ? winner.objective / nominal.objective - 1.0 : 0.0;
    };
    rows.push_back({{"constant", key},
                    {"low", low},
                    {"high", high},
                    {"winner_changes", at_low.chip_name != nominal.chip_name ||
                                           at_high.chip_name != nominal.chip_name},
                    {"objective_change_low_frac", change(at_low)},
                    {"objective_change_high_frac", change(at_high)},
                    {"chip_low", winner_name(at_low)},
                    {"chip_high", winner_name(at_high)}});
  }
  return rows;
}

}  // namespace dovetail::study
