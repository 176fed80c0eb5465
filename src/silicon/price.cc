#include "silicon/price.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace dovetail::silicon {

Result<ChipPrice> estimate_price(const Constants& c, const chip::Chip& chip, double area_mm2) {
  DOVETAIL_TRY(const NodeConstants* node, node_of(c, chip));
  DOVETAIL_TRY(const DramConstants* dram, dram_of(c, chip));
  const double radius = c.wafer_diameter_mm / 2;
  ChipPrice price;
  price.dies_per_wafer = std::numbers::pi * radius * radius / area_mm2 -
                         std::numbers::pi * c.wafer_diameter_mm / std::sqrt(2 * area_mm2);
  const double defects = area_mm2 / 100 * node->defects_per_cm2;
  price.yield_frac = std::pow(1 + defects / c.cluster_alpha, -c.cluster_alpha);
  price.die_usd = price.dies_per_wafer < 1
                      ? std::numeric_limits<double>::infinity()
                      : node->wafer_price_usd / (price.dies_per_wafer * price.yield_frac);
  price.package_usd = c.package_usd + c.package_usd_per_mm2 * area_mm2 +
                      dram->integration_usd_per_channel * static_cast<double>(chip.dram.channels);
  price.mask_set_usd = node->mask_set_usd;
  price.dram_usd = dram->price_usd_per_gib * chip.dram.capacity_gib;
  return price;
}

}  // namespace dovetail::silicon
