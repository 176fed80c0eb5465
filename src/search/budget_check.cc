#include "search/budget_check.h"

#include "search/closing.h"

namespace dovetail::search {

Result<std::string> broken_limit(const std::vector<Product>& products, const Candidate& candidate,
                                 const Budget& budget) {
  constexpr double kMilliwattPerWatt = 1e3;
  const silicon::ChipLimits& limits = candidate.limits;
  if (limits.dram_gb_per_s > budget.max_dram_gb_per_s) return "dram_bandwidth";
  if (limits.area_mm2 > budget.max_area_mm2 * static_cast<double>(limits.num_chips)) return "area";
  if (limits.peak_power_mw > budget.max_peak_power_w * kMilliwattPerWatt) return "peak_power";
  if (limits.die_peak_power_mw >
      limits.area_mm2 * budget.max_power_density_w_per_mm2 * kMilliwattPerWatt) {
    return "power_density";
  }
  if (limits.die_price_usd + limits.dram_price_usd > budget.max_price_usd) return "price";
  DOVETAIL_TRY(const double power_w, sustained_power_w(products, candidate));
  return power_w > budget.max_sustained_power_w ? "sustained_power" : "";
}

}  // namespace dovetail::search
