#include "silicon/constants.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>
#include <vector>

namespace dovetail::silicon {
namespace {

// Collects values and keeps the first error.
class Resolver {
 public:
  explicit Resolver(const Technology& technology) : technology_(technology) {}

  void read(const std::string& key, double& target) {
    const auto value = technology_.value(key);
    if (!value.has_value()) {
      if (status_.has_value()) status_ = std::unexpected(value.error());
      return;
    }
    target = *value;
    const bool is_frac = key.ends_with("_frac");
    const bool wrong = !(target > 0) || (is_frac && target > 1);
    if (wrong && status_.has_value()) {
      status_ =
          invalid_argument(fmt::format("{}: {} = {:g}, want {}", technology_.file_of(key), key,
                                       target, is_frac ? "more than 0, at most 1" : "more than 0"));
    }
  }
  Status status() const { return status_; }

  // The names between `prefix` and the next dot.
  std::set<std::string> names_below(const std::string& prefix) const {
    std::set<std::string> names;
    for (const auto& [key, constant] : technology_.constants()) {
      if (!key.starts_with(prefix)) continue;
      names.insert(key.substr(prefix.size(), key.find('.', prefix.size()) - prefix.size()));
    }
    return names;
  }

 private:
  const Technology& technology_;
  Status status_;
};

void resolve_nodes(Resolver& r, Constants& c) {
  for (const std::string& name : r.names_below("nodes.")) {
    const std::string p = "nodes." + name + ".";
    NodeConstants& node = c.nodes[name];
    r.read(p + "logic_area_rel", node.logic_area_rel);
    r.read(p + "energy_rel", node.energy_rel);
    r.read(p + "sram_um2_per_bit", node.sram_um2_per_bit);
    r.read(p + "logic_leakage_w_per_mm2", node.logic_leakage_w_per_mm2);
    r.read(p + "sram_leakage_mw_per_mib", node.sram_leakage_mw_per_mib);
    r.read(p + "wafer_price_usd", node.wafer_price_usd);
    r.read(p + "defects_per_cm2", node.defects_per_cm2);
    r.read(p + "nominal_clock_mhz", node.nominal_clock_mhz);
    r.read(p + "mask_set_usd", node.mask_set_usd);
    r.read(p + "delay_rel", node.delay_rel);
  }
}

void resolve_dram(Resolver& r, Constants& c) {
  for (const std::string& name : r.names_below("dram.")) {
    const std::string p = "dram." + name + ".";
    DramConstants& dram = c.dram[name];
    r.read(p + "channel_gb_per_s", dram.channel_gb_per_s);
    r.read(p + "energy_pj_per_bit", dram.energy_pj_per_bit);
    r.read(p + "phy_energy_frac", dram.phy_energy_frac);
    r.read(p + "phy_mm2", dram.phy_mm2);
    r.read(p + "controller_mm2", dram.controller_mm2);
    r.read(p + "price_usd_per_gib", dram.price_usd_per_gib);
    r.read(p + "burst_bytes", dram.burst_bytes);
    r.read(p + "banked_channels", dram.banked_channels);
    r.read(p + "row_bytes", dram.row_bytes);
    r.read(p + "banks", dram.banks);
    r.read(p + "row_cycle_ns", dram.row_cycle_ns);
    r.read(p + "row_open_ns", dram.row_open_ns);
    r.read(p + "activate_ns", dram.activate_ns);
    r.read(p + "row_open_exposed_frac", dram.row_open_exposed_frac);
    r.read(p + "turnaround_ns", dram.turnaround_ns);
    r.read(p + "refresh_frac", dram.refresh_frac);
    r.read(p + "integration_usd_per_channel", dram.integration_usd_per_channel);
    r.read(p + "background_mw_per_channel", dram.background_mw_per_channel);
  }
}

void resolve_links(Resolver& r, Constants& c) {
  for (const std::string& name : r.names_below("links.")) {
    const std::string p = "links." + name + ".";
    LinkConstants& link = c.links[name];
    r.read(p + "gb_per_s", link.gb_per_s);
    r.read(p + "efficiency_frac", link.efficiency_frac);
    r.read(p + "energy_pj_per_bit", link.energy_pj_per_bit);
    r.read(p + "idle_energy_frac", link.idle_energy_frac);
    r.read(p + "phy_mm2", link.phy_mm2);
    r.read(p + "hop_ns", link.hop_ns);
  }
}

// Energies inside units of several pairs, and of conversions; as lane area of int8 x int8.
void resolve_shared_energies(Resolver& r, double int8_um2, Constants& c) {
  const std::string prefix = "units.shared_energy_rel.";
  for (const std::string& set : r.names_below(prefix)) {
    for (const std::string& pair : r.names_below(prefix + set + ".")) {
      r.read(prefix + set + "." + pair, c.shared_energy_rel[set][pair]);
    }
  }
  const auto read_um2 = [&](const std::string& key, double& target) {
    r.read(key, target);
    target *= int8_um2;
  };
  read_um2("units.rule.shared_energy_rel_per_um2", c.shared_energy_um2_per_um2);
  read_um2("units.rule.separate_energy_rel_per_um2", c.separate_energy_um2_per_um2);
  read_um2("units.rule.composed_energy_rel_per_bit", c.composed_energy_um2_per_bit);
  double add_um2 = 0;
  read_um2("units.scale.add_energy_rel", add_um2);
  read_um2("units.scale.convert_aligned_energy_rel", c.conversion_um2);
  c.conversion_um2 += add_um2;
}

// data/technology/units.toml, written by tools/synth.
void resolve_units(Resolver& r, Constants& c) {
  for (const std::string& name : r.names_below("units.set.")) {
    const std::string p = "units.set." + name + ".";
    SynthesizedSet& set = c.sets[name];
    r.read(p + "lane_um2", set.lane_um2);
    r.read(p + "register_bits", set.register_bits);
    r.read(p + "depth_cells", set.depth_cells);
  }
  const auto int8 = c.sets.find("int8_int8");
  if (int8 == c.sets.end()) {
    return r.read("units.set.int8_int8.lane_um2", c.sets["int8_int8"].lane_um2);
  }
  for (const std::string& name : r.names_below("units.mac_energy_rel.")) {
    r.read("units.mac_energy_rel." + name, c.lane_um2[name]);
    c.lane_um2[name] *= int8->second.lane_um2;
  }
  // Energies are relative to int8 x int8, whose energy is known.
  double int8_pj = 0;
  r.read("arith.mac.int8_energy_pj", int8_pj);
  c.mac_energy_pj_per_um2 = int8_pj / int8->second.lane_um2;
  resolve_shared_energies(r, int8->second.lane_um2, c);
  r.read("units.scale.granule_energy_rel", c.granule_energy_pj);
  c.granule_energy_pj *= int8_pj;
  r.read("units.decoder.value_energy_rel", c.decoder_value_energy_pj);
  c.decoder_value_energy_pj *= int8_pj;
  r.read("units.scale.convert_exact_um2", c.convert_exact_um2);
  r.read("units.scale.convert_aligned_um2", c.convert_aligned_um2);
  r.read("units.scale.multiply_um2", c.scale_multiply_um2);
  r.read("units.scale.add_um2", c.scale_add_um2);
  r.read("units.scale.register_bits", c.scale_register_bits);
  r.read("units.rule.shared_frac", c.shared_frac);
  r.read("units.rule.shared_bf16_frac", c.shared_bf16_frac);
  r.read("units.rule.composed_overhead_frac", c.composed_overhead_frac);
  r.read("units.decoder.value_um2", c.decoder_value_um2);
}

void resolve_arith(Resolver& r, Constants& c) {
  r.read("arith.mac.timing_area_rel", c.mac_timing_area_rel);
  r.read("arith.mac.register_um2_per_bit", c.register_um2_per_bit);
  r.read("arith.timing.cell_delay_ps", c.cell_delay_ps);
  r.read("arith.timing.register_overhead_ps", c.register_overhead_ps);
  r.read("arith.timing.accumulate_cells", c.accumulate_cells);
  r.read("arith.timing.stage_register_frac", c.stage_register_frac);
  r.read("arith.timing.set_depth_rel", c.set_depth_rel);
  r.read("arith.mac.placement_utilization_frac", c.placement_utilization_frac);
  r.read("arith.vector.lane_um2", c.vector_lane_um2);
  r.read("arith.vector.cycle_energy_pj", c.vector_cycle_energy_pj);
  r.read("arith.hadamard.lane_um2", c.hadamard_lane_um2);
  r.read("arith.hadamard.add_energy_pj", c.hadamard_add_energy_pj);
  const std::vector<std::string> kinds = {"embedding", "rms_norm",     "rope",     "softmax",
                                          "silu_mul",  "residual_add", "bias_add", "argmax"};
  for (size_t i = 0; i < kinds.size(); ++i) {
    r.read("arith.vector." + kinds[i] + "_cycles", c.vector_cycles[i + 1]);  // 0 is kNone
  }
  r.read("arith.vector.quantize_cycles", c.quantize_cycles);
  r.read("arith.vector.convert_cycles", c.convert_cycles);
}

void resolve_memory(Resolver& r, Constants& c) {
  r.read("memory.sram.area_overhead_rel", c.sram_area_overhead_rel);
  r.read("memory.sram.bytes_per_cycle_per_mib", c.sram_bytes_per_cycle_per_mib);
  r.read("memory.sram.energy_pj_per_byte_at_1mib", c.sram_energy_pj_per_byte_at_1mib);
  r.read("memory.sram.energy_exponent", c.sram_energy_exponent);
  r.read("memory.sram.macro_periphery_um2", c.sram_macro_periphery_um2);
  r.read("memory.sram.port_bytes", c.sram_port_bytes);
  r.read("memory.sram.buffer_area_overhead_rel", c.buffer_area_overhead_rel);
  r.read("memory.dram.window_ns", c.dram_window_ns);
  r.read("memory.dram.interleave_bytes", c.dram_interleave_bytes);
  r.read("memory.dram.block_bytes", c.dram_block_bytes);
  r.read("memory.noc.energy_pj_per_byte_mm", c.noc_energy_pj_per_byte_mm);
  r.read("memory.noc.area_mm2_per_core", c.noc_area_mm2_per_core);
}

void resolve_system(Resolver& r, Constants& c) {
  r.read("system.op_overhead_ns", c.op_overhead_ns);
  r.read("system.vector_op_overhead_ns", c.vector_op_overhead_ns);
  r.read("system.fill_cycles", c.fill_cycles);
  r.read("system.clock_energy_exponent", c.clock_energy_exponent);
  r.read("system.clock_floor_frac", c.clock_floor_frac);
  r.read("system.core_control_mm2", c.core_control_mm2);
  r.read("system.fixed_mm2", c.fixed_mm2);
  r.read("system.other_frac", c.other_frac);
  r.read("system.working_sram_max_frac", c.working_sram_max_frac);
  r.read("system.price.wafer_diameter_mm", c.wafer_diameter_mm);
  r.read("system.price.cluster_alpha", c.cluster_alpha);
  r.read("system.price.package_usd", c.package_usd);
  r.read("system.price.package_usd_per_mm2", c.package_usd_per_mm2);
}

// `key = "value", want one of ...` with the nearest entry.
template <typename Map>
std::unexpected<Error> unknown_entry(const char* key, const std::string& value, const Map& map) {
  std::vector<std::string> names;
  for (const auto& [name, entry] : map) names.push_back(name);
  const auto near = nearest_name(value, names);
  return invalid_argument(
      fmt::format("{} = \"{}\", want one of {}{}", key, value, fmt::join(names, ", "),
                  near.has_value() ? fmt::format(" (did you mean {}?)", *near) : ""));
}

}  // namespace

Result<Constants> resolve_constants(const Technology& technology) {
  Constants constants;
  Resolver resolver(technology);
  resolve_nodes(resolver, constants);
  resolve_dram(resolver, constants);
  resolve_units(resolver, constants);
  resolve_links(resolver, constants);
  resolve_arith(resolver, constants);
  resolve_memory(resolver, constants);
  resolve_system(resolver, constants);
  DOVETAIL_TRY_STATUS(resolver.status());
  if (!(constants.other_frac < 1)) {
    return invalid_argument(fmt::format("{}: system.other_frac = {:g}, want less than 1",
                                        technology.file_of("system.other_frac"),
                                        constants.other_frac));
  }
  return constants;
}

std::string pair_key(const chip::NativePair& pair) {
  return pair.weight + "_" + pair.activation;
}

bool concerns_pairs(const std::string& key, const std::vector<chip::NativePair>& pairs) {
  const auto is_one = [&pairs](const std::string& name) {
    return std::ranges::any_of(
        pairs, [&](const chip::NativePair& pair) { return pair_key(pair) == name; });
  };
  constexpr std::string_view kEnergy = "units.mac_energy_rel.";
  if (key.starts_with(kEnergy)) return is_one(key.substr(kEnergy.size()));
  constexpr std::string_view kSet = "units.set.";
  constexpr std::string_view kShared = "units.shared_energy_rel.";
  const bool is_shared = key.starts_with(kShared);
  if (!key.starts_with(kSet) && !is_shared) return true;
  if (is_shared && !is_one(key.substr(key.rfind('.') + 1))) return false;
  // "units.set.composed:int4_int8@twice+int9_int8.lane_um2"
  const size_t begin_set = is_shared ? kShared.size() : kSet.size();
  std::string set = key.substr(begin_set, key.rfind('.') - begin_set);
  set = set.substr(set.find(':') + 1);
  for (size_t begin = 0; begin <= set.size();) {
    const size_t end = std::min(set.find('+', begin), set.size());
    const std::string pair = set.substr(begin, end - begin);
    if (!is_one(pair.substr(0, pair.find('@')))) return false;
    begin = end + 1;
  }
  return true;
}

Result<const NodeConstants*> node_of(const Constants& constants, const chip::Chip& chip) {
  const auto it = constants.nodes.find(chip.node);
  if (it != constants.nodes.end()) return &it->second;
  return unknown_entry("node", chip.node, constants.nodes);
}

Result<const DramConstants*> dram_of(const Constants& constants, const chip::Chip& chip) {
  const auto it = constants.dram.find(chip.dram.kind);
  if (it != constants.dram.end()) return &it->second;
  return unknown_entry("dram.kind", chip.dram.kind, constants.dram);
}

Result<const LinkConstants*> link_of(const Constants& constants, const chip::Chip& chip) {
  const auto it = constants.links.find(chip.scale_up.link_kind);
  if (it != constants.links.end()) return &it->second;
  return unknown_entry("scale_up.link_kind", chip.scale_up.link_kind, constants.links);
}

Result<double> lane_um2_of(const Constants& constants, const chip::NativePair& pair) {
  const auto it = constants.lane_um2.find(pair_key(pair));
  if (it != constants.lane_um2.end()) return it->second;
  return invalid_argument(
      fmt::format("pair {} x {}: not synthesised, no entry in data/technology/units.toml",
                  pair.weight, pair.activation));
}

}  // namespace dovetail::silicon
