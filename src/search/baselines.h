// The ways of working that the joint answer is compared with, with the same budget, models, DRAM
// and context.
//
//   recipe_first        cheapest recipe within the cap on a reference chip of the class, then the
//                       best chip of the space for it; the best over the reference chips counts
//   size_first          fewest stored bytes within the cap, then the best chip
//   silicon_first_w8a8  the best chip for uniform int8+a:int8_token, then the best recipe on it
//   silicon_first_w4a16 the best chip for uniform int4_g128 with bf16 activations, then the same
//   best_uniform        every uniform treatment within the cap on its own best chip
#pragma once

#include <string>
#include <vector>

#include "search/enumerate.h"

namespace dovetail::search {

struct BaselineResult {
  std::string name;
  bool feasible = false;
  std::string why_not;  // when not feasible
  Candidate candidate;
  // What the way of working fixed first, in words: "recipe of reference_edge_small",
  // "int4_g128+...".
  std::string fixed_first;
};

[[nodiscard]] const std::vector<std::string>& baseline_names();

// One baseline for one scenario: study/ asks again with a moved cap after measuring the loss.
// Errors: kInvalidArgument for an unknown name (with the nearest).
[[nodiscard]] Result<BaselineResult> solve_baseline(
    const std::string& name, const std::vector<Product>& products, const Space& space,
    const Budget& budget, const Scenario& scenario, const std::vector<chip::Chip>& reference_chips,
    const EnumerateParams& params, const ProgressSink& progress);

// All baselines for one scenario. `reference_chips` are of the budget's class.
[[nodiscard]] Result<std::vector<BaselineResult>> solve_baselines(
    const std::vector<Product>& products, const Space& space, const Budget& budget,
    const Scenario& scenario, const std::vector<chip::Chip>& reference_chips,
    const EnumerateParams& params, const ProgressSink& progress);

}  // namespace dovetail::search
