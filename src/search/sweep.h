// Visits every chip of a space once: cut by the budget, cut by bounds, or solved.
//
// Chips that differ in their inner axes alone (buffers, lanes, decoder) form a block, and the T0
// bound of the roomiest holds for all of them. Inside, with accumulator and weight buffer fixed,
// the T1 latency of the chip with most lanes, decoder width and activation buffer bounds the
// others: more of these never makes a chip slower (a test holds the cost model to both). Blocks
// come best-bound-first, in rounds that see the incumbents of the rounds before: the outcome,
// statistics included, does not depend on the number of threads.
#pragma once

#include <cstdint>
#include <vector>

#include "search/budget_screen.h"
#include "search/chip_questions.h"
#include "search/enumerate.h"
#include "search/incumbents.h"

namespace dovetail::search {

struct SweepTarget {
  int64_t question = 0;
  Scale scale = Scale::kNone;
};

struct SweepParams {
  bool prune = true;
  int64_t top_k = 32;
  bool keep_front = true;
  double front_epsilon_frac = 0.01;
};

struct SweepOutcome {
  struct Target {
    std::vector<SweepEntry> ranking;     // the top_k by upper value
    std::vector<SweepEntry> contenders;  // others whose lower value is below the best upper value
  };
  std::vector<Target> targets;
  std::vector<std::vector<SweepEntry>> fronts;  // per question; empty without keep_front
  EnumerateStats stats;
  int64_t num_bounds = 0;  // T0 tables computed
};

// Errors: those of the cost models. An empty budget is no error: the statistics say so.
[[nodiscard]] Result<SweepOutcome> sweep(const ChipQuestions& questions, const Space& space,
                                         const Budget& budget,
                                         const std::vector<SweepTarget>& targets,
                                         const SweepParams& params, const ProgressSink& progress);

}  // namespace dovetail::search
