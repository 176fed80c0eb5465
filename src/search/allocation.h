// One treatment for every site of a model on one chip: a multiple-choice knapsack.
//
//   minimise   sum cost[s][choice[s]]
//   subject to sum loss <= max_loss, sum sram_bytes <= max_sram_bytes, sum dram_bytes <=
//   max_dram_bytes
//
// Options of a site are treatments, each streamed or resident in SRAM (several levels where a site
// holds more than one linear). The same problem with cost and loss exchanged minimises loss under a
// latency limit. Numbers are non-negative and finite; an option that the chip cannot execute is
// simply not listed.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/result.h"

namespace dovetail::search {

struct AllocationProblem {
  // Options of site s are [option_begin[s], option_begin[s + 1]); every site has at least one.
  std::vector<int32_t> option_begin;
  std::vector<double> cost;
  std::vector<double> loss;
  std::vector<double> sram_bytes;
  std::vector<double> dram_bytes;
  double max_loss = std::numeric_limits<double>::infinity();
  double max_sram_bytes = std::numeric_limits<double>::infinity();
  double max_dram_bytes = std::numeric_limits<double>::infinity();

  [[nodiscard]] int64_t num_sites() const { return static_cast<int64_t>(option_begin.size()) - 1; }
};

enum class AllocationStatus : uint8_t {
  kSolved,      // feasible, gap as stated
  kInfeasible,  // proven: no choice satisfies the limits
};

struct Allocation {
  AllocationStatus status = AllocationStatus::kInfeasible;
  std::vector<int32_t> choice;  // option index within each site
  double cost = 0;
  double loss = 0;
  double sram_bytes = 0;
  double dram_bytes = 0;
  double bound = 0;     // no feasible choice costs less
  double gap_frac = 0;  // (cost - bound) / cost, 0..1
  // kInfeasible: the limit that cannot be met even alone ("loss", "sram_bytes", "dram_bytes"), or
  // "together" when only their combination fails.
  std::string binding;
  double loss_price = 0;  // cost saved per unit of max_loss
  double sram_price = 0;  // cost saved per byte of max_sram_bytes
  double dram_price = 0;
};

// Errors: kInvalidArgument (a vector of the wrong length, a negative or non-finite number).
[[nodiscard]] Status check(const AllocationProblem& problem);

// Judges any answer against the problem: choice in range, sums right to 1e-9 relative, limits kept,
// bound not above cost. Errors: kInternal naming what is wrong.
[[nodiscard]] Status verify(const AllocationProblem& problem, const Allocation& allocation);

struct AllocationParams {
  double max_gap_frac = 1e-3;  // stop when closed to this
  int64_t max_nodes = 20000;   // branch-and-bound nodes (~0.2 ms each at 151 sites); the gap
                               // reached is reported honestly
};
// Closes one problem: Lagrangian bound, then dynamic programming or branch and bound.
[[nodiscard]] Result<Allocation> solve_allocation(const AllocationProblem& problem,
                                                  const AllocationParams& params);

// One point of the lower convex hull of (loss, cost) over all choices, without side limits.
struct FrontPoint {
  double loss = 0;
  double cost = 0;
};
// The whole Lagrangian front: every hull point from cheapest to least loss. `steps` names the site
// and option that changed from each point to the next, so that any point's choice can be rebuilt.
struct LagrangianFront {
  std::vector<FrontPoint> points;
  struct Step {
    int32_t site = 0;
    int32_t option = 0;
  };
  std::vector<Step> steps;               // points.size() - 1
  std::vector<int32_t> cheapest_choice;  // the choice of points[0]
};
[[nodiscard]] LagrangianFront lagrangian_front(const AllocationProblem& problem);

// The lower bound on cost that the front's hull gives at a loss cap (linear between hull points);
// infinity if the cap is below the least loss.
[[nodiscard]] double front_bound(const LagrangianFront& front, double max_loss);

}  // namespace dovetail::search
