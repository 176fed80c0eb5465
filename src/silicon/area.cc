#include "silicon/area.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace dovetail::silicon {
namespace {

constexpr double kMm2PerUm2 = 1e-6;
// A sum as FP32 and the output that it is added to.
constexpr double kSumRegisterBits = 2 * 32;

double element_bits(const std::string& element) {
  if (element == "bf16") return 16;
  if (element == "fp8_e4m3fn") return 8;
  if (element == "fp4_e2m1") return 4;
  return element[3] - '0';  // intB
}

// Operand bits that buffers deliver a lane: the widest pair, times its throughput.
double operand_bits(const chip::MatrixUnit& unit) {
  double bits = 0;
  for (const chip::NativePair& pair : unit.pairs) {
    bits = std::max(bits, pair.macs_per_cycle_rel *
                              (element_bits(pair.weight) + element_bits(pair.activation)));
  }
  return bits;
}

bool is_aligned(const chip::NativePair& pair) {
  return pair.weight == "bf16" || pair.activation == "bf16";
}

bool is_unscaled(const chip::NativePair& pair) {
  return pair.weight == "bf16" && pair.activation == "bf16";
}

bool is_int(const std::string& element) {
  return element.starts_with("int");
}

// True if lanes for `wide` multiply `narrow` without a gate more: its significand and its shifts
// fit.
bool holds_element(const std::string& wide, const std::string& narrow) {
  if (wide == narrow || wide == "bf16") return true;
  if (is_int(wide)) return is_int(narrow) && element_bits(narrow) <= element_bits(wide);
  if (wide != "fp8_e4m3fn") return false;
  return narrow == "fp4_e2m1" || (is_int(narrow) && element_bits(narrow) <= 4);
}

bool holds_pair(const chip::NativePair& wide, const chip::NativePair& narrow) {
  return wide.activation == narrow.activation && holds_element(wide.weight, narrow.weight) &&
         wide.macs_per_cycle_rel >= narrow.macs_per_cycle_rel;
}

// The pairs that cost something, in the order of their names.
std::vector<chip::NativePair> distinct_pairs(const std::string& sharing,
                                             const std::vector<chip::NativePair>& all) {
  std::vector<chip::NativePair> pairs;
  for (const chip::NativePair& pair : all) {
    const bool held =
        sharing == "shared" && std::ranges::any_of(all, [&](const chip::NativePair& other) {
          return &other != &pair && holds_pair(other, pair);
        });
    if (!held) pairs.push_back(pair);
  }
  std::ranges::sort(pairs, {}, [](const chip::NativePair& pair) { return pair_key(pair); });
  return pairs;
}

// Names as tools/synth/format_sets.py writes them; other rates than these were not synthesised.
std::string set_name(const std::string& sharing, const std::vector<chip::NativePair>& pairs) {
  std::string name = sharing == "shared" || pairs.size() == 1 ? "" : sharing + ":";
  for (const chip::NativePair& pair : pairs) {
    if (&pair != pairs.data()) name += "+";
    name += pair_key(pair);
    if (pair.macs_per_cycle_rel != 1) {
      name += pair.macs_per_cycle_rel == 0.5 ? "@half"
              : pair.macs_per_cycle_rel == 2 ? "@twice"
                                             : "@other";
    }
  }
  return name;
}

Result<UnitArea> area_of_pairs(const Constants& constants, const std::string& sharing,
                               const std::vector<chip::NativePair>& pairs);

// Pairs at half rate stand on every second lane: half of the lanes have all pairs, half the others.
Result<UnitArea> area_at_half_rate(const Constants& constants,
                                   const std::vector<chip::NativePair>& pairs) {
  std::vector<chip::NativePair> all = pairs;
  std::vector<chip::NativePair> full;
  for (chip::NativePair& pair : all) {
    if (pair.macs_per_cycle_rel != 0.5) full.push_back(pair);
    if (pair.macs_per_cycle_rel == 0.5) pair.macs_per_cycle_rel = 1;
  }
  DOVETAIL_TRY(const UnitArea even, area_of_pairs(constants, "shared", all));
  DOVETAIL_TRY(const UnitArea odd, area_of_pairs(constants, "shared", full));
  return UnitArea{.lane_um2 = 0.5 * (even.lane_um2 + odd.lane_um2),
                  .register_bits = 0.5 * (even.register_bits + odd.register_bits)};
}

Result<UnitArea> area_by_rule(const Constants& constants, const std::string& sharing,
                              const std::vector<chip::NativePair>& pairs) {
  const auto is_half = [](const chip::NativePair& pair) { return pair.macs_per_cycle_rel == 0.5; };
  const auto num_half = std::ranges::count_if(pairs, is_half);
  if (sharing == "shared" && num_half > 0 && num_half < std::ssize(pairs)) {
    return area_at_half_rate(constants, pairs);
  }
  UnitArea area;
  double sum = 0;
  double largest = 0;
  for (const chip::NativePair& pair : pairs) {
    const auto it = constants.sets.find(pair_key(pair));
    if (it == constants.sets.end()) {
      return invalid_argument(
          fmt::format("pair {} x {}: not synthesised, no entry in data/technology/units.toml",
                      pair.weight, pair.activation));
    }
    const double lane = it->second.lane_um2 * pair.macs_per_cycle_rel;
    sum += lane;
    largest = std::max(largest, lane);
    area.register_bits =
        std::max(area.register_bits, it->second.register_bits * pair.macs_per_cycle_rel);
  }
  if (sharing == "separate") {
    area.lane_um2 = sum;
  } else if (sharing == "shared") {
    const bool has_bf16 = std::ranges::any_of(pairs, is_aligned);
    const double added_frac = has_bf16 ? constants.shared_bf16_frac : constants.shared_frac;
    area.lane_um2 = largest + added_frac * (sum - largest);
  } else {
    const double others = static_cast<double>(pairs.size()) - 1;
    area.lane_um2 = largest * (1 + constants.composed_overhead_frac * others);
  }
  return area;
}

Result<UnitArea> area_of_pairs(const Constants& constants, const std::string& sharing,
                               const std::vector<chip::NativePair>& all) {
  const std::vector<chip::NativePair> pairs = distinct_pairs(sharing, all);
  const auto it = constants.sets.find(set_name(sharing, pairs));
  if (it == constants.sets.end()) return area_by_rule(constants, sharing, pairs);
  return UnitArea{.lane_um2 = it->second.lane_um2,
                  .register_bits = it->second.register_bits,
                  .synthesized = true};
}

double granules_per_cycle(const chip::MatrixUnit& unit, const chip::NativePair& pair) {
  return static_cast<double>(unit.depth) * pair.macs_per_cycle_rel /
         static_cast<double>(chip::finest_granule(pair));
}

// Sums that leave a dot unit a cycle.
double results_per_dot(const chip::MatrixUnit& unit) {
  double results = 0;
  for (const chip::NativePair& pair : unit.pairs) {
    results = std::max(results, granules_per_cycle(unit, pair));
  }
  return results;
}

// Conversions with additions for every sum, multipliers for what has scales.
double scale_um2_per_dot(const Constants& c, const chip::MatrixUnit& unit) {
  const double conversions = conversions_per_dot(unit);
  const double convert_um2 =
      std::ranges::any_of(unit.pairs, is_aligned) ? c.convert_aligned_um2 : c.convert_exact_um2;
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

Result<UnitArea> unit_area(const Constants& constants, const chip::MatrixUnit& unit) {
  return area_of_pairs(constants, unit.sharing, unit.pairs);
}

double granule_units_per_dot(const chip::MatrixUnit& unit) {
  double units = 0;
  for (const chip::NativePair& pair : unit.pairs) {
    if (!is_unscaled(pair)) units = std::max(units, granules_per_cycle(unit, pair));
  }
  return units;
}

double conversions_per_dot(const chip::MatrixUnit& unit) {
  double conversions = 0;
  for (const chip::NativePair& pair : unit.pairs) {
    const double granules = granules_per_cycle(unit, pair);
    conversions = std::max(conversions, is_aligned(pair) ? std::max(1.0, granules) : granules);
  }
  return conversions;
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
    area.registers_mm2 += placed * dots * depth * lane.register_bits * c.register_um2_per_bit;
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
