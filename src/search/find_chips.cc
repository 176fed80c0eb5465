#include "search/find_chips.h"

#include <utility>

#include "search/evolve.h"

namespace dovetail::search {

Result<SweepOutcome> find_chips(const ChipQuestions& questions, const Space& space,
                                const Budget& budget, const std::vector<SweepTarget>& targets,
                                const SweepParams& params, const Method& method,
                                const ProgressSink& progress) {
  if (is_exact(method, space)) return sweep(questions, space, budget, targets, params, progress);
  DOVETAIL_TRY(EvolveOutcome evolved,
               evolve(questions, space, budget, targets, params,
                      {.evaluations = method.evaluations, .seed = method.seed}, progress));
  EnumerateStats& stats = evolved.found.stats;
  stats.exact = false;
  stats.seeds = {method.seed};
  stats.evaluations = stats.num_allocated;
  return std::move(evolved.found);
}

}  // namespace dovetail::search
