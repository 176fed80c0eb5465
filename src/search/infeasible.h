// Why no chip of a space meets a scenario, and how near the nearest one comes, in words.
#pragma once

#include <string>

#include "search/budget_screen.h"
#include "search/chip_allocator.h"
#include "search/enumerate.h"

namespace dovetail::search {

[[nodiscard]] Result<std::string> explain_infeasible(const std::vector<Product>& products,
                                                     const Space& space, const Budget& budget,
                                                     const Scenario& scenario,
                                                     const EnumerateStats& stats);

// The least predicted loss that any recipe reaches on a chip with this table, within SRAM and DRAM.
// Infinity if nothing fits or nothing can be executed.
[[nodiscard]] Result<double> least_loss(const silicon::CostTable& table, const LossTable& losses,
                                        const ResidencyLevels& levels);

}  // namespace dovetail::search
