// Area of a chip by component, from its whole set of native pairs. Tier: analytical.
//
// What is modelled, what is not and how it compares with published dies: docs/cost_model.md.
#pragma once

#include "base/result.h"
#include "silicon/constants.h"

namespace dovetail::silicon {

// One chip, all cores together, mm2.
struct ChipArea {
  double multipliers_mm2 = 0;  // lanes of all pairs with their exact sums
  double registers_mm2 = 0;    // operand registers of the lanes
  double scale_units_mm2 = 0;  // per-granule scaling and FP32 accumulation
  double decoder_mm2 = 0;
  double vector_mm2 = 0;
  double buffers_mm2 = 0;  // weight, activation and accumulator buffers
  double control_mm2 = 0;  // sequencers and DMA of the cores
  double sram_mm2 = 0;
  double noc_mm2 = 0;
  double dram_phy_mm2 = 0;
  double dram_controller_mm2 = 0;
  double link_phy_mm2 = 0;  // links to other chips, controllers included
  double fixed_mm2 = 0;     // host interface, PLLs
  double other_mm2 = 0;     // IO ring, gaps: a share of the die

  [[nodiscard]] double total_mm2() const;
  [[nodiscard]] double logic_mm2() const;  // what leaks as logic
};

// Lane area of a unit, um2 at n7, from its whole set of pairs. With a_p = lane area of pair p times
// its macs_per_cycle_rel:
//   separate  sum of a_p
//   shared    largest a_p + shared_frac * sum of the others
//   composed  largest a_p * (1 + composed_overhead_frac * (number of pairs - 1))
// shared_frac (0.4..1) and composed_overhead_frac are guesses until synthesised: data/technology.
[[nodiscard]] Result<double> unit_lane_um2(const Constants& constants,
                                           const chip::MatrixUnit& unit);

// Scaling units of one dot unit (may be a fraction: several dot units take turns when the granule
// is longer than the depth).
[[nodiscard]] double granule_units_per_dot(const chip::MatrixUnit& unit);

// Errors: kInvalidArgument (unknown node, DRAM kind, link kind or pair).
[[nodiscard]] Result<ChipArea> estimate_area(const Constants& constants, const chip::Chip& chip);

}  // namespace dovetail::silicon
