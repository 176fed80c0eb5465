#include "silicon/roofs.h"

namespace dovetail::silicon {
namespace {

// 0 stands for "not there".
double per_ns(double ns_per_unit) {
  return ns_per_unit > 0 ? 1.0 / ns_per_unit : 0.0;
}

}  // namespace

Roofs chip_roofs(const chip::Chip& chip, const ChipRates& rates) {
  Roofs roofs{.dram_gb_per_s = per_ns(rates.dram_stream_ns_per_byte),
              .sram_gb_per_s = per_ns(rates.sram_ns_per_byte),
              .link_gb_per_s = per_ns(rates.link_ns_per_byte),
              .vector_gops_per_s = per_ns(rates.vector_ns_per_cycle)};
  for (const chip::MatrixUnit& unit : chip.units) {
    const auto lanes = static_cast<double>(chip.cores * unit.rows * unit.cols * unit.depth);
    for (const chip::NativePair& pair : unit.pairs) {
      roofs.gmacs_per_s[pair.weight + " x " + pair.activation] +=
          lanes * pair.macs_per_cycle_rel * chip.clock_mhz / 1e3;
    }
  }
  return roofs;
}

}  // namespace dovetail::silicon
