// Label setting: builds choices site by site and keeps those that no other one beats in cost and in
// the limits that are kept exactly.
//
// Closes what branch and bound on prices cannot: where SRAM is nearly full, many choices differ
// only in which equal parts are resident, and no split of a site lifts the bound. Sites that are
// alike collapse here, because only sums count. Limits that are not kept exactly are priced, which
// leaves a valid, weaker bound.
#pragma once

#include <cstdint>
#include <vector>

#include "search/core_problem.h"

namespace dovetail::search {

struct LabelParams {
  // Limits kept exactly, at most two; the others are priced.
  std::vector<int> exact;
  Use prices = {};         // good prices of all limits: they prune, and they price
  double cutoff = 0;       // choices that cost this or more are of no interest
  double tolerance = 0;    // cost that merging of near equals may hide, over all sites
  int64_t max_labels = 0;  // created, over all sites; beyond, the search gives up
};

struct LabelResult {
  bool complete = false;  // false: gave up, nothing else is set
  // No choice that keeps the exact limits has a cost (plus price of the priced limits' excess)
  // below this. At most the cutoff.
  double bound = 0;
  // Choices below the cutoff, as option positions. They keep the exact limits.
  std::vector<int32_t> least;  // of the least priced cost; empty: there is none
  std::vector<int32_t>
      feasible;  // the cheapest of those at hand that keep all limits; may be empty
};

[[nodiscard]] LabelResult set_labels(const CoreProblem& core, const LabelParams& params);

}  // namespace dovetail::search
