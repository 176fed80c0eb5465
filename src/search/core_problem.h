// The arrays that the closing of one problem works on: options that can still matter, scaled.
//
// Only limits that some choice could break are kept. Costs are divided by the largest total, uses
// by their limit, so that prices, bounds and tolerances are all of the order of 1.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "search/allocation.h"
#include "search/price_master.h"

namespace dovetail::search {

struct CoreProblem {
  int num_limits = 0;
  std::array<int, kMaxLimits> limit_kind = {};  // 0 loss, 1 SRAM, 2 DRAM
  Use limit_unit = {1, 1, 1};                   // what 1 stands for
  Use limit = {};                               // 1 for kept limits
  double cost_unit = 1;
  std::vector<int32_t> begin;  // options of site s are [begin[s], begin[s + 1])
  std::vector<double> cost;    // ascending within a site
  std::array<std::vector<double>, kMaxLimits> use;
  std::vector<int32_t> label;  // option index within the site of the original problem

  [[nodiscard]] int32_t num_sites() const { return static_cast<int32_t>(begin.size()) - 1; }
};

// The limit that no choice can keep even alone ("loss", ...), or "".
[[nodiscard]] std::string impossible_limit(const AllocationProblem& problem);

// Leaves out options that break a limit by themselves. Needs impossible_limit(problem) == "", so
// that every site keeps an option (that of least use of any one limit; another may still empty it:
// begin is then empty).
[[nodiscard]] CoreProblem make_core(const AllocationProblem& problem);

// Keeps the options for which keep[j] is not 0. Every site must keep one.
[[nodiscard]] CoreProblem shrink_core(const CoreProblem& core, const std::vector<uint8_t>& keep);

// Cheapest choice at fixed prices, site by site: cost + sum of price * use.
struct PricedChoice {
  double bound = 0;  // of the Lagrangian at these prices
  PriceColumn column;
  std::vector<int32_t> choice;  // option position in the core's arrays
};

// Options of site s restricted to [low[s], high[s]).
struct CoreRanges {
  std::vector<int32_t> low;
  std::vector<int32_t> high;
};
[[nodiscard]] CoreRanges full_ranges(const CoreProblem& core);

// `priced` is scratch for the priced options.
void price_choice(const CoreProblem& core, const CoreRanges& ranges, const Use& prices,
                  std::vector<double>& priced, PricedChoice& result);

}  // namespace dovetail::search
