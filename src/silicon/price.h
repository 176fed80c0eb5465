// Price of one chip: a die with yield, its package and its DRAM. Tier: analytical.
#pragma once

#include "base/result.h"
#include "silicon/constants.h"

namespace dovetail::silicon {

struct ChipPrice {
  double yield_frac = 0;
  double dies_per_wafer = 0;
  double die_usd = 0;      // wafer price over good dies
  double package_usd = 0;  // substrate, assembly, DRAM integration
  double dram_usd = 0;
  double mask_set_usd = 0;  // once per design, in no price above
};

// Dies per wafer: pi r^2 / A - pi d / sqrt(2 A). Yield: negative binomial, (1 + A D /
// alpha)^-alpha. A die that does not fit a wafer has an infinite price. Errors: kInvalidArgument
// (unknown node or DRAM kind). Source: Murphy-style cluster model as in Stapper, "Defect density
// distribution for LSI yield
//   calculations", IEEE Trans. Electron Devices, 1973; edge loss: de Vries, "Investigation of gross
//   die per wafer formulas", IEEE Trans. Semiconductor Manufacturing, 2005.
[[nodiscard]] Result<ChipPrice> estimate_price(const Constants& constants, const chip::Chip& chip,
                                               double area_mm2);

}  // namespace dovetail::silicon
