#include "silicon/cost_json.h"

#include <map>
#include <string>
#include <utility>

namespace dovetail::silicon {
namespace {

Json energy_to_json(const OpEnergy& energy) {
  return Json{{"mac_pj", energy.mac_pj},         {"scale_pj", energy.scale_pj},
              {"decoder_pj", energy.decoder_pj}, {"vector_pj", energy.vector_pj},
              {"buffer_pj", energy.buffer_pj},   {"sram_pj", energy.sram_pj},
              {"noc_pj", energy.noc_pj},         {"link_pj", energy.link_pj},
              {"dram_pj", energy.dram_pj},       {"leakage_pj", energy.leakage_pj}};
}

// Sums the layers of one op name in one phase.
struct OpSum {
  OpCost cost;
  std::map<Resource, double> latency_by_binding_ns;
};

void add(OpSum& sum, const OpCost& cost) {
  sum.cost.dram_ns += cost.dram_ns;
  sum.cost.sram_ns += cost.sram_ns;
  sum.cost.decoder_ns += cost.decoder_ns;
  sum.cost.compute_ns += cost.compute_ns;
  sum.cost.vector_ns += cost.vector_ns;
  sum.cost.link_ns += cost.link_ns;
  sum.cost.latency_ns += cost.latency_ns;
  sum.cost.dram_bytes += cost.dram_bytes;
  sum.cost.sram_bytes += cost.sram_bytes;
  sum.cost.link_bytes += cost.link_bytes;
  sum.cost.macs += cost.macs;
  sum.cost.energy.add(cost.energy, 1.0);
  sum.latency_by_binding_ns[cost.binding()] += cost.latency_ns;
}

Json op_to_json(const std::pair<bool, std::string>& key, const OpSum& sum) {
  Resource binding = Resource::kDram;
  double most_ns = -1;
  for (const auto& [resource, latency_ns] : sum.latency_by_binding_ns) {
    if (latency_ns <= most_ns) continue;
    most_ns = latency_ns;
    binding = resource;
  }
  return Json{{"phase", key.first ? "decode" : "prefill"},
              {"op", key.second},
              {"latency_ns", sum.cost.latency_ns},
              {"dram_ns", sum.cost.dram_ns},
              {"sram_ns", sum.cost.sram_ns},
              {"decoder_ns", sum.cost.decoder_ns},
              {"compute_ns", sum.cost.compute_ns},
              {"vector_ns", sum.cost.vector_ns},
              {"link_ns", sum.cost.link_ns},
              {"dram_bytes", sum.cost.dram_bytes},
              {"sram_bytes", sum.cost.sram_bytes},
              {"link_bytes", sum.cost.link_bytes},
              {"macs_count", sum.cost.macs},
              {"energy_pj", sum.cost.energy.total_pj()},
              {"binding", std::string(resource_name(binding))}};
}

Json ops_to_json(const CostReport& report) {
  std::map<std::pair<bool, std::string>, OpSum> sums;
  for (const OpReport& op : report.ops) add(sums[{op.decode, op.name}], op.cost);
  Json ops = Json::array();
  for (const auto& [key, sum] : sums) ops.push_back(op_to_json(key, sum));
  return ops;
}

Json pipeline_to_json(const CostReport& report) {
  const WholeLayerStages& whole = *report.whole_layers;
  return Json{{"stages_count", report.num_stages},
              {"micro_batches_count", report.num_micro_batches},
              {"whole_layers",
               {{"layers_count", whole.layers},
                {"largest_over_mean_rel", whole.largest_over_mean},
                {"latency_ns", whole.latency_ns},
                {"prefill_latency_ns", whole.prefill_latency_ns},
                {"time_per_token_ns", whole.time_per_token_ns},
                {"largest_stage_dram_bytes", whole.dram_bytes_needed},
                {"stage_dram_capacity_bytes", whole.dram_bytes}}}};
}

}  // namespace

Json area_to_json(const ChipArea& area) {
  return Json{{"multipliers_mm2", area.multipliers_mm2},
              {"registers_mm2", area.registers_mm2},
              {"scale_units_mm2", area.scale_units_mm2},
              {"decoder_mm2", area.decoder_mm2},
              {"vector_mm2", area.vector_mm2},
              {"buffers_mm2", area.buffers_mm2},
              {"control_mm2", area.control_mm2},
              {"sram_mm2", area.sram_mm2},
              {"noc_mm2", area.noc_mm2},
              {"dram_phy_mm2", area.dram_phy_mm2},
              {"dram_controller_mm2", area.dram_controller_mm2},
              {"link_phy_mm2", area.link_phy_mm2},
              {"fixed_mm2", area.fixed_mm2},
              {"other_mm2", area.other_mm2},
              {"total_mm2", area.total_mm2()}};
}

Json power_to_json(const PeakPower& power) {
  return Json{{"multipliers_mw", power.multipliers_mw},
              {"scale_units_mw", power.scale_units_mw},
              {"decoder_mw", power.decoder_mw},
              {"vector_mw", power.vector_mw},
              {"buffers_mw", power.buffers_mw},
              {"sram_mw", power.sram_mw},
              {"dram_mw", power.dram_mw},
              {"link_mw", power.link_mw},
              {"leakage_mw", power.leakage_mw},
              {"dram_device_mw", power.dram_device_mw},
              {"die_mw", power.die_mw()},
              {"total_mw", power.total_mw()}};
}

Json price_to_json(const ChipPrice& price) {
  return Json{{"yield_frac", price.yield_frac},
              {"die_usd", price.die_usd},
              {"package_usd", price.package_usd},
              {"dram_usd", price.dram_usd},
              {"mask_set_usd", price.mask_set_usd},
              {"total_usd", price.die_usd + price.package_usd + price.dram_usd}};
}

Json roofs_to_json(const Roofs& roofs) {
  return Json{{"dram_gb_per_s", roofs.dram_gb_per_s},
              {"sram_gb_per_s", roofs.sram_gb_per_s},
              {"link_gb_per_s", roofs.link_gb_per_s},
              {"vector_gops_per_s", roofs.vector_gops_per_s},
              {"gmacs_per_s", roofs.gmacs_per_s}};
}

Json cost_to_json(const CostReport& report) {
  Json json{{"chips_count", report.num_chips},
            {"latency_ns", report.latency_ns},
            {"bound_latency_ns", report.bound_latency_ns},
            {"prefill_latency_ns", report.prefill_latency_ns},
            {"time_per_token_ns", report.time_per_token_ns},
            {"throughput_tokens_per_s", report.throughput_tokens_per_s},
            {"energy_pj", report.energy_pj},
            {"energy_pj_per_token", report.energy_pj_per_token},
            {"energy_parts", energy_to_json(report.energy)},
            {"sustained_power_mw", report.sustained_power_mw},
            {"average_power_mw", report.average_power_mw},
            {"weight_bytes", report.weight_bytes},
            {"kv_bytes", report.kv_bytes},
            {"dram_bytes", report.dram_bytes_needed},
            {"dram_capacity_bytes", report.dram_bytes},
            {"sram_resident_bytes", report.sram_bytes_needed},
            {"sram_bytes", report.sram_bytes},
            {"fits", report.fits},
            {"area_mm2", report.area_mm2()},
            {"area_parts", area_to_json(report.area)},
            {"peak_power_mw", report.peak_power_mw()},
            {"peak_power_parts", power_to_json(report.peak_power)},
            {"price_parts", price_to_json(report.price)},
            {"ops", ops_to_json(report)},
            {"tiers", {{"bound_latency_ns", "bound"}, {"default", "analytical"}}}};
  if (report.whole_layers.has_value()) json["pipeline"] = pipeline_to_json(report);
  return json;
}

}  // namespace dovetail::silicon
