// Search of a space that is too large to visit: NSGA-II over the positions on every axis.
//
// A coarse grid of the space is searched exactly (sweep.h). Its best chips and its front seed one
// NSGA-II (pagmo2) per question over (metric, area) and, where a target asks for it, price; then
// every target's best chip is improved one axis at a time. All chips that were priced on the way
// count. The same seed gives the same outcome on any number of threads. Exact it is not:
// whole_space_bound.h says how far from the best it is at most.
#pragma once

#include <cstdint>
#include <vector>

#include "search/chip_questions.h"
#include "search/sweep.h"

namespace dovetail::search {

struct EvolveParams {
  int64_t evaluations = 10'000;      // chips priced for each question, the grid's not counted
  int64_t seed = 1;                  // 0..2^32-1
  int64_t max_grid_chips = 200'000;  // of the coarse grid
};

// One line per question and batch of chips.
struct EvolveLine {
  int64_t question = 0;
  int64_t num_priced = 0;   // so far
  double least_metric = 0;  // so far, ns or pJ; infinite before anything fits
  bool operator==(const EvolveLine&) const = default;
};

struct EvolveOutcome {
  SweepOutcome found;  // statistics: of the chips that were looked at; num_allocated: those priced
  std::vector<EvolveLine> log;
};

// Errors: kInvalidArgument if there are fewer evaluations than two generations need, if the seed is
// out of range, or if the space has a single chip: nothing to search; those of the cost models.
[[nodiscard]] Result<EvolveOutcome> evolve(const ChipQuestions& questions, const Space& space,
                                           const Budget& budget,
                                           const std::vector<SweepTarget>& targets,
                                           const SweepParams& params, const EvolveParams& evolve,
                                           const ProgressSink& progress);

}  // namespace dovetail::search
