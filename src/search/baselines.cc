#include "search/baselines.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "search/closing.h"
#include "search/product_check.h"
#include "search/sweep.h"
#include "search/uniform_recipes.h"

namespace dovetail::search {
namespace {

// Chips kept per baseline, so that one over the sustained power has a successor.
constexpr int64_t kRanking = 4;
constexpr const char* kW8A8 = "int8+a:int8_token";
constexpr const char* kW4A16 = "int4_g128";

struct Context {
  const std::vector<Product>& products;
  const Space& space;
  const Budget& budget;
  const Scenario& scenario;
  const std::vector<chip::Chip>& reference_chips;
  const EnumerateParams& params;
};

// What a way of working fixes before it sees the chips of the space.
struct Fixed {
  std::string baseline;
  std::vector<NamedRecipe> recipes;
  std::string why_not;       // when there is none
  bool recipe_stays = true;  // false: once the chip is chosen, the recipe is chosen again
};

Result<Fixed> fix_recipe_first(const Context& x) {
  Fixed fixed{.baseline = "recipe_first", .recipes = {}, .why_not = {}};
  for (const chip::Chip& chip : x.reference_chips) {
    DOVETAIL_TRY(Candidate candidate,
                 solve_on_chip(x.products, chip, x.scenario, x.params.max_gap_frac));
    if (!(candidate.metric < kImpossible)) continue;
    fixed.recipes.push_back({"recipe of " + chip.name, std::move(candidate.treatments)});
  }
  if (fixed.recipes.empty()) fixed.why_not = "no reference chip has a recipe within the cap";
  return fixed;
}

Result<Fixed> fix_size_first(const Context& x) {
  Fixed fixed{.baseline = "size_first", .recipes = {}, .why_not = {}};
  DOVETAIL_TRY(FrozenRecipe smallest,
               smallest_recipe(x.products, x.scenario.max_loss, x.params.max_gap_frac));
  if (smallest.empty()) {
    fixed.why_not = "no recipe is within the cap";
  } else {
    fixed.recipes.push_back({"fewest bytes", std::move(smallest)});
  }
  return fixed;
}

// The chip is built for the uniform model with the kv and head choices that keep it within the cap,
// or with the gentlest ones if none does: the linears are what this way of working fixes.
Fixed fix_uniform_linears(const Context& x, const std::string& baseline, const char* linear) {
  Fixed fixed{.baseline = baseline, .recipes = {}, .why_not = {}, .recipe_stays = false};
  fixed.recipes = uniform_recipes(x.products, linear, x.scenario.max_loss);
  if (!fixed.recipes.empty()) return fixed;
  std::vector<NamedRecipe> all = uniform_recipes(x.products, linear, kImpossible);
  const auto gentlest = std::ranges::min_element(
      all, {}, [&x](const NamedRecipe& named) { return worst_loss(x.products, named.recipe); });
  if (gentlest == all.end()) {
    fixed.why_not = fmt::format("the menu has no {}", linear);
  } else {
    fixed.recipes.push_back(std::move(*gentlest));
  }
  return fixed;
}

Result<Fixed> fix_first(const Context& x, const std::string& name) {
  if (name == "recipe_first") return fix_recipe_first(x);
  if (name == "size_first") return fix_size_first(x);
  if (name == "silicon_first_w8a8") return fix_uniform_linears(x, name, kW8A8);
  if (name == "silicon_first_w4a16") return fix_uniform_linears(x, name, kW4A16);
  Fixed fixed{.baseline = name, .recipes = {}, .why_not = {}};
  fixed.recipes = uniform_recipes(x.products, "", x.scenario.max_loss);
  if (fixed.recipes.empty()) fixed.why_not = "no uniform treatment is within the cap";
  return fixed;
}

// The best recipe on the chosen chip, within the cap and the sustained power.
Status choose_recipe_again(const Context& x, BaselineResult& result) {
  const int64_t chip_index = result.candidate.chip_index;
  DOVETAIL_TRY(Candidate again,
               solve_on_chip(x.products, result.candidate.chip, x.scenario, x.params.max_gap_frac));
  again.chip_index = chip_index;
  result.feasible = again.metric < kImpossible;
  if (!result.feasible) {
    result.why_not =
        fmt::format("no recipe on its chip is within {:.4g} nats per token", x.scenario.max_loss);
    return {};
  }
  DOVETAIL_TRY(const double power_w, sustained_power_w(x.products, again));
  if (power_w > x.budget.max_sustained_power_w) {
    result.feasible = false;
    result.why_not = fmt::format("its recipe needs {:.3g} W sustained, the budget is {:.3g} W",
                                 power_w, x.budget.max_sustained_power_w);
  }
  result.candidate = std::move(again);
  return {};
}

Result<BaselineResult> finish(const Context& x, const Fixed& fixed, const SweepTarget& target,
                              const SweepOutcome::Target& found, Closing& closing) {
  BaselineResult result;
  result.name = fixed.baseline;
  DOVETAIL_TRY(ClosedTarget closed, closing.close_target(target, found));
  if (closed.points.empty()) {
    result.why_not = closed.num_over_sustained_power > 0
                         ? "its best chips need more than the sustained power of the budget"
                         : "no chip of the space inside the budget runs its recipe";
    return result;
  }
  result.feasible = true;
  result.candidate = std::move(closed.points.front().candidate);
  const auto variant = static_cast<size_t>(closed.points.front().variant);
  result.fixed_first = fixed.recipes[variant].name;
  if (!fixed.recipe_stays) DOVETAIL_TRY_STATUS(choose_recipe_again(x, result));
  return result;
}

// One sweep answers all names at once.
Result<std::vector<BaselineResult>> solve(const Context& x, const std::vector<std::string>& names,
                                          const ProgressSink& progress) {
  DOVETAIL_TRY_STATUS(check_products(x.products));
  DOVETAIL_TRY_STATUS(check_space(x.space));
  std::vector<Fixed> fixed;
  std::vector<FrozenQuestion> questions;
  std::vector<SweepTarget> targets;
  for (const std::string& name : names) {
    DOVETAIL_TRY(Fixed one, fix_first(x, name));
    if (!one.recipes.empty()) {
      FrozenQuestion question{.metric = x.scenario.objective.metric, .variants = {}};
      for (const NamedRecipe& named : one.recipes) question.variants.push_back(named.recipe);
      targets.push_back({std::ssize(questions), x.scenario.objective.scale});
      questions.push_back(std::move(question));
    }
    fixed.push_back(std::move(one));
  }
  std::vector<BaselineResult> results;
  SweepOutcome outcome;
  const auto frozen = frozen_questions(x.products, std::move(questions));
  if (!targets.empty()) {
    const SweepParams params = {
        .prune = x.params.prune, .top_k = kRanking, .keep_front = false, .front_epsilon_frac = 1};
    DOVETAIL_TRY(outcome, sweep(*frozen, x.space, x.budget, targets, params, progress));
  }
  Closing closing(*frozen, x.space, x.budget, x.params.max_gap_frac);
  size_t t = 0;
  for (const Fixed& one : fixed) {
    if (one.recipes.empty()) {
      results.push_back(
          {.name = one.baseline, .why_not = one.why_not, .candidate = {}, .fixed_first = {}});
      continue;
    }
    DOVETAIL_TRY(BaselineResult result, finish(x, one, targets[t], outcome.targets[t], closing));
    results.push_back(std::move(result));
    ++t;
  }
  return results;
}

}  // namespace

const std::vector<std::string>& baseline_names() {
  static const std::vector<std::string> names = {"recipe_first", "size_first", "silicon_first_w8a8",
                                                 "silicon_first_w4a16", "best_uniform"};
  return names;
}

Result<BaselineResult> solve_baseline(const std::string& name, const std::vector<Product>& products,
                                      const Space& space, const Budget& budget,
                                      const Scenario& scenario,
                                      const std::vector<chip::Chip>& reference_chips,
                                      const EnumerateParams& params, const ProgressSink& progress) {
  const std::vector<std::string>& names = baseline_names();
  if (std::ranges::find(names, name) == names.end()) {
    return invalid_argument(fmt::format("baseline \"{}\" is unknown, did you mean \"{}\"?", name,
                                        nearest_name(name, names).value_or(names.front())));
  }
  const Context context = {products, space, budget, scenario, reference_chips, params};
  DOVETAIL_TRY(std::vector<BaselineResult> results, solve(context, {name}, progress));
  return std::move(results.front());
}

Result<std::vector<BaselineResult>> solve_baselines(const std::vector<Product>& products,
                                                    const Space& space, const Budget& budget,
                                                    const Scenario& scenario,
                                                    const std::vector<chip::Chip>& reference_chips,
                                                    const EnumerateParams& params,
                                                    const ProgressSink& progress) {
  const Context context = {products, space, budget, scenario, reference_chips, params};
  return solve(context, baseline_names(), progress);
}

}  // namespace dovetail::search
