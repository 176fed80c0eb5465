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
  double registers_mm2 = 0;    // registers of the lanes: operands, granule sums, pipeline
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

// Errors: kInvalidArgument (unknown node, DRAM kind, link kind or pair).
[[nodiscard]] Result<ChipArea> estimate_area(const Constants& constants, const chip::Chip& chip);

}  // namespace dovetail::silicon
