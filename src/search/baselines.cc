#include "search/baselines.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "search/closing.h"
#include "search/find_chips.h"
#include "search/product_check.h"
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
  bool mixed = false;        // every product takes the best for itself
};

// Whether some recipe is for this product.
bool offers(const std::vector<NamedRecipe>& recipes, size_t product) {
  return std::ranges::any_of(
      recipes, [product](const NamedRecipe& named) { return !named.recipe[product].empty(); });
}

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

// The gentlest uniform recipe of one product, for that product alone.
std::vector<NamedRecipe> gentlest_recipe(const Context& x, const char* linear, size_t product) {
  std::vector<NamedRecipe> all = uniform_recipes(x.products, linear, kImpossible);
  std::erase_if(all, [product](const NamedRecipe& named) { return named.recipe[product].empty(); });
  const auto gentlest = std::ranges::min_element(all, {}, [&](const NamedRecipe& named) {
    return total_loss(x.products[product].losses, named.recipe[product]);
  });
  if (gentlest == all.end()) return {};
  for (size_t p = 0; p < gentlest->recipe.size(); ++p) {
    if (p != product) gentlest->recipe[p].clear();
  }
  return {std::move(*gentlest)};
}

// The chip is built for the uniform models with the kv and head choices that keep each within the
// cap, or with the gentlest ones if none does: the linears are what this way of working fixes.
Fixed fix_uniform_linears(const Context& x, const std::string& baseline, const char* linear) {
  Fixed fixed{
      .baseline = baseline, .recipes = {}, .why_not = {}, .recipe_stays = false, .mixed = true};
  fixed.recipes = uniform_recipes(x.products, linear, x.scenario.max_loss);
  for (size_t p = 0; p < x.products.size(); ++p) {
    if (offers(fixed.recipes, p)) continue;
    std::ranges::move(gentlest_recipe(x, linear, p), std::back_inserter(fixed.recipes));
    if (!offers(fixed.recipes, p)) {
      fixed.why_not = fmt::format("the menu has no {}", linear);
      fixed.recipes.clear();
      break;
    }
  }
  return fixed;
}

Fixed fix_best_uniform(const Context& x) {
  Fixed fixed{.baseline = "best_uniform", .recipes = {}, .why_not = {}, .mixed = true};
  fixed.recipes = uniform_recipes(x.products, "", x.scenario.max_loss);
  for (size_t p = 0; p < x.products.size(); ++p) {
    if (offers(fixed.recipes, p)) continue;
    fixed.why_not = "no uniform treatment is within the cap";
    if (x.products.size() > 1) fixed.why_not += " for product " + x.products[p].name;
    fixed.recipes.clear();
    break;
  }
  return fixed;
}

Result<Fixed> fix_first(const Context& x, const std::string& name) {
  if (name == "recipe_first") return fix_recipe_first(x);
  if (name == "size_first") return fix_size_first(x);
  if (name == "silicon_first_w8a8") return fix_uniform_linears(x, name, kW8A8);
  if (name == "silicon_first_w4a16") return fix_uniform_linears(x, name, kW4A16);
  return fix_best_uniform(x);
}

// Names of the recipes that a point took, once if all products took the same.
std::string names_of(const Fixed& fixed, const std::vector<int64_t>& variants) {
  std::string names;
  for (size_t p = 0; p < variants.size(); ++p) {
    if (p > 0 && variants[p] == variants[0]) continue;
    names += (p == 0 ? "" : " / ") + fixed.recipes[static_cast<size_t>(variants[p])].name;
  }
  return names;
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
  result.fixed_first = names_of(fixed, closed.points.front().variants);
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
      FrozenQuestion question{
          .metric = x.scenario.objective.metric, .variants = {}, .mixed = one.mixed};
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
    DOVETAIL_TRY(outcome, find_chips(*frozen, x.space, x.budget, targets, params, x.params.method,
                                     progress));
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
