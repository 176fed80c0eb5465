// What a chip can do at most in a second: the roofs of a roofline plot. Tier: analytical.
#pragma once

#include <map>
#include <string>

#include "chip/chip.h"
#include "silicon/power.h"

namespace dovetail::silicon {

// One chip, all cores together, at the chip's clock. 1e9 per second.
struct Roofs {
  double dram_gb_per_s = 0;                        // one long stream, efficiency included
  double sram_gb_per_s = 0;                        // 0 without a shared SRAM
  double link_gb_per_s = 0;                        // sent over all links; 0 without
  double vector_gops_per_s = 0;                    // element-cycles of all lanes
  std::map<std::string, double> gmacs_per_s = {};  // by "int9 x int8": every dot unit busy
};

[[nodiscard]] Roofs chip_roofs(const chip::Chip& chip, const ChipRates& rates);

}  // namespace dovetail::silicon
