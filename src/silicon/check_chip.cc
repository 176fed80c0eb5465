#include "silicon/check_chip.h"

#include <fmt/format.h>

#include "silicon/constants.h"
#include "silicon/matrix_unit.h"

namespace dovetail::silicon {
namespace {

Status check_entries(const Constants& constants, const chip::Chip& chip) {
  DOVETAIL_TRY([[maybe_unused]] const NodeConstants* node, node_of(constants, chip));
  DOVETAIL_TRY([[maybe_unused]] const DramConstants* dram, dram_of(constants, chip));
  DOVETAIL_TRY([[maybe_unused]] const LinkConstants* link, link_of(constants, chip));
  for (const chip::MatrixUnit& unit : chip.units) {
    DOVETAIL_TRY([[maybe_unused]] const UnitArea area, unit_area(constants, unit));
  }
  return {};
}

// Every constant of the timing at the end that makes units quickest.
Result<Constants> quickest(const Technology& technology, const std::string& node) {
  Technology moved = technology;
  for (const std::string& key :
       {std::string("arith.timing.cell_delay_ps"), std::string("arith.timing.register_overhead_ps"),
        std::string("arith.timing.accumulate_cells"), std::string("arith.timing.set_depth_rel"),
        "nodes." + node + ".delay_rel"}) {
    const auto it = technology.constants().find(key);
    if (it != technology.constants().end()) moved = moved.with(key, it->second.low);
  }
  return resolve_constants(moved);
}

Status check_clock(const Technology& technology, const Constants& given, const chip::Chip& chip) {
  DOVETAIL_TRY(const Constants best, quickest(technology, chip.node));
  DOVETAIL_TRY(const NodeConstants* node, node_of(given, chip));
  DOVETAIL_TRY(const NodeConstants* best_node, node_of(best, chip));
  for (size_t i = 0; i < chip.units.size(); ++i) {
    DOVETAIL_TRY(const UnitArea area, unit_area(given, chip.units[i]));
    DOVETAIL_TRY(const UnitArea best_area, unit_area(best, chip.units[i]));
    const double reaches = 1e3 * unit_timing(given, *node, chip.clock_mhz, area).reaches_ghz;
    const double most = 1e3 * unit_timing(best, *best_node, chip.clock_mhz, best_area).reaches_ghz;
    if (chip.clock_mhz <= most) continue;
    return invalid_argument(fmt::format(
        "clock_mhz = {:g}, want at most {:.0f}: units[{}] reaches {:.0f} MHz in {}, {:.0f} with "
        "every constant of its timing at its best end ({:.0f} cells from the operands to the sum, "
        "in {:g} stages)",
        chip.clock_mhz, most, i, reaches, chip.node, most, area.depth_cells, kMaxStages));
  }
  return {};
}

}  // namespace

Status check_known(const chip::Chip& chip, const Technology& technology, const std::string& file) {
  DOVETAIL_TRY(const Constants constants, resolve_constants(technology));
  Status status = check_entries(constants, chip);
  if (status.has_value()) status = check_clock(technology, constants, chip);
  if (!status.has_value()) return with_context(status.error(), file);
  return {};
}

}  // namespace dovetail::silicon
