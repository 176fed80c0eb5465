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
  double registers_mm2 = 0;    // registers of the lanes: operands and granule sums
  double scale_units_mm2 = 0;  // conversion to FP32, scaling, FP32 accumulation
  double decoder_mm2 = 0;
  double vector_mm2 = 0;   // vector and Hadamard units
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

// What one lane of a unit takes at n7, from its whole set of pairs.
struct UnitArea {
  double lane_um2 = 0;  // logic, before sizing for the clock
  double register_bits = 0;
  bool synthesized = false;  // this very set was synthesised; else by the rule
};

// Pairs that another pair of a shared unit holds (the same or a narrower weight, the same
// activation, no higher rate) cost nothing and are dropped first. A set that was synthesised is
// looked up; any other goes by the rule, from the lanes a_p that its pairs have alone, times their
// macs_per_cycle_rel:
//   separate  sum of a_p
//   shared    largest a_p + shared_frac * sum of the others (shared_bf16_frac if a pair has bf16)
//   composed  largest a_p * (1 + composed_overhead_frac * (number of pairs - 1))
//   shared, some pairs at half rate: half of the lanes have all pairs, half have those at full rate
// with the largest register_bits times rate. How far the rule is off: docs/units.md.
// Errors: kInvalidArgument naming a pair that was not synthesised.
[[nodiscard]] Result<UnitArea> unit_area(const Constants& constants, const chip::MatrixUnit& unit);

// Multiplications by scales that one dot unit needs a cycle, in scale units (may be a fraction:
// several dot units take turns when the granule is longer than the depth). bf16 x bf16 has no
// scales.
[[nodiscard]] double granule_units_per_dot(const chip::MatrixUnit& unit);

// Conversions to FP32 with an addition that one dot unit needs a cycle: one a granule; pairs with
// bf16 align anew every cycle, so at least one.
[[nodiscard]] double conversions_per_dot(const chip::MatrixUnit& unit);

// Errors: kInvalidArgument (unknown node, DRAM kind, link kind or pair).
[[nodiscard]] Result<ChipArea> estimate_area(const Constants& constants, const chip::Chip& chip);

}  // namespace dovetail::silicon
