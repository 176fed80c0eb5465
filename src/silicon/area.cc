#include "silicon/area.h"

#include <algorithm>
#include <cmath>

#include "silicon/matrix_unit.h"

namespace dovetail::silicon {
namespace {

constexpr double kMm2PerUm2 = 1e-6;
// A sum as FP32 and the output that it is added to.
constexpr double kSumRegisterBits = 2 * 32;

// Operand bits that buffers deliver a lane: the widest pair, times its throughput.
double operand_bits(const chip::MatrixUnit& unit) {
  double bits = 0;
  for (const chip::NativePair& pair : unit.pairs) {
    bits = std::max(bits, pair.macs_per_cycle_rel *
                              (element_bits(pair.weight) + element_bits(pair.activation)));
  }
  return bits;
}

// Sums that leave a dot unit a cycle.
double results_per_dot(const chip::MatrixUnit& unit) {
  double results = 0;
  for (const chip::NativePair& pair : unit.pairs) {
    results = std::max(results, static_cast<double>(unit.depth) * pair.macs_per_cycle_rel /
                                    static_cast<double>(chip::finest_granule(pair)));
  }
  return results;
}

// Conversions with additions for every sum, multipliers for what has scales.
double scale_um2_per_dot(const Constants& c, const chip::MatrixUnit& unit) {
  const double conversions = conversions_per_dot(unit);
  const double convert_um2 = has_aligned_pair(unit) ? c.convert_aligned_um2 : c.convert_exact_um2;
  const double logic = conversions * (convert_um2 + c.scale_add_um2) +
                       granule_units_per_dot(unit) * 2 * c.scale_multiply_um2;
  const double bits =
      conversions * kSumRegisterBits + granule_units_per_dot(unit) * c.scale_register_bits;
  return logic * c.mac_timing_area_rel + bits * c.register_um2_per_bit;
}

// A buffer of `kib` that delivers `bytes_per_cycle`: macros of port width, each with a periphery.
double buffer_um2(const Constants& c, const NodeConstants& node, double kib,
                  double bytes_per_cycle) {
  const double macros = std::max(1.0, std::ceil(bytes_per_cycle / c.sram_port_bytes));
  return c.buffer_area_overhead_rel * (kib * 1024 * 8 * node.sram_um2_per_bit +
                                       macros * c.sram_macro_periphery_um2 * node.logic_area_rel);
}

}  // namespace

double ChipArea::logic_mm2() const {
  return multipliers_mm2 + registers_mm2 + scale_units_mm2 + decoder_mm2 + vector_mm2 +
         control_mm2 + noc_mm2 + dram_controller_mm2 + fixed_mm2;
}

double ChipArea::total_mm2() const {
  return logic_mm2() + buffers_mm2 + sram_mm2 + dram_phy_mm2 + link_phy_mm2 + other_mm2;
}

Result<ChipArea> estimate_area(const Constants& c, const chip::Chip& chip) {
  DOVETAIL_TRY(const NodeConstants* node, node_of(c, chip));
  DOVETAIL_TRY(const DramConstants* dram, dram_of(c, chip));
  DOVETAIL_TRY(const LinkConstants* link, link_of(c, chip));
  const auto cores = static_cast<double>(chip.cores);
  const auto channels = static_cast<double>(chip.dram.channels);
  // um2 of cells at n7 to mm2 of placed logic, all cores.
  const double placed = kMm2PerUm2 * node->logic_area_rel / c.placement_utilization_frac * cores;
  ChipArea area;
  double buffers_um2 = 0;
  for (const chip::MatrixUnit& unit : chip.units) {
    DOVETAIL_TRY(const UnitArea lane, unit_area(c, unit));
    const auto dots = static_cast<double>(unit.rows * unit.cols);
    const auto depth = static_cast<double>(unit.depth);
    area.multipliers_mm2 += placed * dots * depth * lane.lane_um2 * c.mac_timing_area_rel;
    const UnitTiming timing = unit_timing(c, *node, chip.clock_mhz, lane);
    area.registers_mm2 += placed * dots * depth * (lane.register_bits + timing.pipeline_bits) *
                          c.register_um2_per_bit;
    area.scale_units_mm2 += placed * dots * scale_um2_per_dot(c, unit);
    const double bytes = operand_bits(unit) / 2 / 8 * depth;
    buffers_um2 += buffer_um2(c, *node, static_cast<double>(chip.weight_buffer_kib),
                              static_cast<double>(unit.cols) * bytes);
    buffers_um2 += buffer_um2(c, *node, static_cast<double>(chip.activation_buffer_kib),
                              static_cast<double>(unit.rows) * bytes);
    buffers_um2 += buffer_um2(c, *node, static_cast<double>(chip.accumulator_kib),
                              dots * results_per_dot(unit) * 8);
  }
  area.buffers_mm2 = kMm2PerUm2 * buffers_um2 * cores;
  area.decoder_mm2 = placed * static_cast<double>(chip.decoder_values_per_cycle) *
                     c.decoder_value_um2 * c.mac_timing_area_rel;
  area.vector_mm2 = placed * (static_cast<double>(chip.vector_lanes) * c.vector_lane_um2 +
                              static_cast<double>(chip.hadamard_lanes) * c.hadamard_lane_um2);
  area.control_mm2 = c.core_control_mm2 * node->logic_area_rel * cores;
  area.sram_mm2 =
      kMm2PerUm2 * chip.sram_mib * 1048576 * 8 * node->sram_um2_per_bit * c.sram_area_overhead_rel;
  area.noc_mm2 = c.noc_area_mm2_per_core * node->logic_area_rel * cores;
  area.dram_phy_mm2 = dram->phy_mm2 * channels;
  area.dram_controller_mm2 = dram->controller_mm2 * node->logic_area_rel * channels;
  area.link_phy_mm2 = link->phy_mm2 * static_cast<double>(chip.scale_up.links);
  area.fixed_mm2 = c.fixed_mm2;
  area.other_mm2 = area.total_mm2() * c.other_frac / (1 - c.other_frac);
  return area;
}

}  // namespace dovetail::silicon
