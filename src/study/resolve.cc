#include "study/resolve.h"

#include <cmath>
#include <string>
#include <utility>

#include "search/budget_check.h"

namespace dovetail::study {
Result<PricedProducts> PricedProducts::create(const StudyState& state,
                                              const silicon::Technology& technology) {
  PricedProducts priced;
  priced.products_ = search_products(state);
  for (size_t i = 0; i < priced.products_.size(); ++i) {
    const ProductState& product = state.products[i];
    DOVETAIL_TRY(silicon::CostModel costs,
                 silicon::CostModel::create(product.shape, product.workload, product.losses.menu,
                                            technology));
    priced.costs_.push_back(std::make_unique<silicon::CostModel>(std::move(costs)));
    priced.products_[i].costs = priced.costs_.back().get();
  }
  return priced;
}

Result<std::vector<search::Candidate>> search_again(const Question& question,
                                                    const std::vector<search::Product>& products,
                                                    const search::Budget& budget,
                                                    int64_t num_runners_up,
                                                    const ProgressSink& progress) {
  const search::EnumerateParams params{
      .top_k = num_runners_up + 1, .keep_front = false, .method = question.state.config.search};
  DOVETAIL_TRY(search::EnumerateResult result,
               search::enumerate(products, *question.state.config.space, budget,
                                 {question.scenario}, params, progress));
  std::vector<search::Candidate> best;
  search::ScenarioResult& found = result.scenarios[0];
  if (!found.feasible) return best;
  best.push_back(std::move(found.best));
  for (search::Candidate& candidate : found.runners_up) {
    if (std::ssize(best) > num_runners_up) break;
    best.push_back(std::move(candidate));
  }
  return best;
}

Result<OnChip> solve_again(const Question& question, const std::vector<search::Product>& products,
                           const search::Budget& budget, const chip::Chip& chip,
                           double max_gap_frac) {
  OnChip found;
  // A moved chip may be none: a buffer too small for its grid, for example.
  if (!chip::check_chip(chip).has_value()) return found;
  DOVETAIL_TRY(search::Candidate candidate,
               search::solve_on_chip(products, chip, question.scenario, max_gap_frac));
  if (!std::isfinite(candidate.objective)) return found;
  DOVETAIL_TRY(found.broken_limit, search::broken_limit(products, candidate, budget));
  found.candidate = std::move(candidate);
  return found;
}

}  // namespace dovetail::study
