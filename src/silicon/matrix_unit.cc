#include "silicon/matrix_unit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <fmt/format.h>

namespace dovetail::silicon {
namespace {

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
                  .register_bits = 0.5 * (even.register_bits + odd.register_bits),
                  .depth_cells = std::max(even.depth_cells, odd.depth_cells)};
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
    const double added = pairs.size() > 1 ? constants.set_depth_rel : 1;
    area.depth_cells = std::max(area.depth_cells, it->second.depth_cells * added);
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
                  .depth_cells = it->second.depth_cells,
                  .synthesized = true};
}

double granules_per_cycle(const chip::MatrixUnit& unit, const chip::NativePair& pair) {
  return static_cast<double>(unit.depth) * pair.macs_per_cycle_rel /
         static_cast<double>(chip::finest_granule(pair));
}

// Lane area that the pair switches beyond its own lane, a multiply-accumulate.
double shared_um2(const Constants& c, const std::string& sharing, const chip::NativePair& pair,
                  const UnitArea& area, const SynthesizedSet& own) {
  const double rate = pair.macs_per_cycle_rel;
  const double logic = std::max(0.0, area.lane_um2 - own.lane_um2 * rate);
  const double bits = std::max(0.0, area.register_bits - own.register_bits * rate);
  if (sharing == "composed") return c.composed_energy_um2_per_bit * bits / rate;
  const double per_um2 =
      sharing == "separate" ? c.separate_energy_um2_per_um2 : c.shared_energy_um2_per_um2;
  return per_um2 * logic / rate;
}

}  // namespace

double element_bits(const std::string& element) {
  if (element == "bf16") return 16;
  if (element == "fp8_e4m3fn") return 8;
  if (element == "fp4_e2m1") return 4;
  return element[3] - '0';  // intB
}

Result<UnitArea> unit_area(const Constants& constants, const chip::MatrixUnit& unit) {
  return area_of_pairs(constants, unit.sharing, unit.pairs);
}

Result<std::vector<double>> switched_um2(const Constants& c, const chip::MatrixUnit& unit) {
  DOVETAIL_TRY(const UnitArea area, unit_area(c, unit));
  const std::vector<chip::NativePair> distinct = distinct_pairs(unit.sharing, unit.pairs);
  const auto measured = c.shared_energy_rel.find(set_name(unit.sharing, distinct));
  std::vector<double> result;
  for (const chip::NativePair& pair : unit.pairs) {
    DOVETAIL_TRY(const double alone, lane_um2_of(c, pair));
    double um2 = alone;
    if (distinct.size() > 1 || !(distinct[0] == pair)) {
      const std::string key = pair_key(pair);
      const bool known = area.synthesized && measured != c.shared_energy_rel.end() &&
                         measured->second.contains(key);
      um2 = known ? alone * std::max(1.0, measured->second.at(key))
                  : alone + shared_um2(c, unit.sharing, pair, area, c.sets.at(key));
    }
    if (is_unscaled(pair)) um2 += c.conversion_um2 / elements_per_sum(unit, pair);
    result.push_back(um2);
  }
  return result;
}

double elements_per_sum(const chip::MatrixUnit& unit, const chip::NativePair& pair) {
  double granule = std::numeric_limits<double>::infinity();
  for (const chip::NativePair& other : unit.pairs) {
    if (!is_unscaled(other)) {
      granule = std::min(granule, static_cast<double>(chip::finest_granule(other)));
    }
  }
  return std::min(static_cast<double>(unit.depth) * pair.macs_per_cycle_rel, granule);
}

double granule_units_per_dot(const chip::MatrixUnit& unit) {
  double units = 0;
  for (const chip::NativePair& pair : unit.pairs) {
    if (is_unscaled(pair)) continue;
    const double granules = granules_per_cycle(unit, pair);
    units = std::max(units, is_aligned(pair) ? std::max(1.0, granules) : granules);
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

bool has_aligned_pair(const chip::MatrixUnit& unit) {
  return std::ranges::any_of(unit.pairs, is_aligned);
}

double scaled_sums(const chip::MatrixUnit& unit, const chip::NativePair& pair, double granules,
                   double k) {
  if (!is_aligned(pair) || is_unscaled(pair)) return granules;
  return std::max(granules, k / elements_per_sum(unit, pair));
}

double reduction_per_cycle(const chip::MatrixUnit& unit, const chip::NativePair& pair,
                           int64_t group) {
  const double depth = static_cast<double>(unit.depth) * pair.macs_per_cycle_rel;
  if (group == 0) return depth;
  double sums = conversions_per_dot(unit);
  const double multiplied = granule_units_per_dot(unit);
  if (multiplied > 0) sums = std::min(sums, multiplied);
  return std::min(depth, sums * static_cast<double>(group));
}

UnitTiming unit_timing(const Constants& c, const NodeConstants& node, double clock_mhz,
                       const UnitArea& area) {
  const double cell_ps = c.cell_delay_ps * node.delay_rel;
  const double register_ps = c.register_overhead_ps * node.delay_rel;
  const auto stage_ps = [&](double stages) {
    return std::max(std::ceil(area.depth_cells / stages), c.accumulate_cells) * cell_ps +
           register_ps;
  };
  UnitTiming timing;
  timing.reaches_ghz = 1e3 / stage_ps(kMaxStages);
  timing.stages = 1;
  while (timing.stages < kMaxStages && stage_ps(timing.stages) > 1e6 / clock_mhz) ++timing.stages;
  timing.pipeline_bits = (timing.stages - 1) * c.stage_register_frac * area.register_bits;
  return timing;
}

Result<double> reaches_mhz(const Constants& constants, const chip::Chip& chip) {
  DOVETAIL_TRY(const NodeConstants* node, node_of(constants, chip));
  double least = std::numeric_limits<double>::infinity();
  for (const chip::MatrixUnit& unit : chip.units) {
    DOVETAIL_TRY(const UnitArea area, unit_area(constants, unit));
    least = std::min(least, 1e3 * unit_timing(constants, *node, chip.clock_mhz, area).reaches_ghz);
  }
  return least;
}

}  // namespace dovetail::silicon
