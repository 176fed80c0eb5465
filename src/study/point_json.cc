#include "study/point_json.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "silicon/cost_json.h"
#include "silicon/estimate.h"

namespace dovetail::study {
namespace {

Json chip_limits_to_json(const silicon::CostReport& report) {
  const auto chips = static_cast<double>(report.num_chips);
  return Json{{"area_mm2", report.area_mm2()},
              {"peak_power_mw", report.peak_power_mw()},
              {"die_price_usd", chips * (report.price.die_usd + report.price.package_usd)},
              {"dram_price_usd", chips * report.price.dram_usd},
              {"price_usd", report.price_usd()}};
}

// Rows by site name; only what a chip keeps in SRAM is listed for residency.
Json recipe_to_json(const ProductState& product, const std::vector<int32_t>& treatments) {
  Json sites = Json::object();
  for (size_t i = 0; i < treatments.size(); ++i) {
    const recipe::Site site = recipe::site_at(product.shape, static_cast<int64_t>(i));
    const auto index = static_cast<size_t>(treatments[i]);
    sites[recipe::site_name(site)] =
        site.kind == recipe::SiteKind::kKv
            ? recipe::treatment_name(product.losses.menu.kv[index])
            : recipe::treatment_name(product.losses.menu.linear[index]);
  }
  return sites;
}

Json residency_to_json(const ProductState& product, const std::vector<float>& resident_frac) {
  Json sites = Json::object();
  for (size_t i = 0; i < resident_frac.size(); ++i) {
    if (resident_frac[i] <= 0) continue;
    sites[recipe::site_name(recipe::site_at(product.shape, static_cast<int64_t>(i)))] =
        resident_frac[i];
  }
  return sites;
}

void add_losses(const SideAnswer& side, size_t i, Json& json) {
  const MeasuredLoss& loss = side.settled.losses[i];
  if (!loss.measured) {
    json["expected_kl_nats"] = loss.kl_nats;
    return;
  }
  json["measured_kl_nats"] = loss.kl_nats;
  json["measured_kl_stderr_nats"] = loss.kl_stderr_nats;
  json["measured_row"] = loss.row;
  json["top1_agreement_frac"] = loss.top1_agreement_frac;
  if (i >= side.certified.size()) return;
  json["certified_kl_nats"] = side.certified[i].kl_nats;
  json["certified_kl_stderr_nats"] = side.certified[i].kl_stderr_nats;
  json["certified_row"] = side.certified[i].row;
  if (i >= side.chip_sums.size() || side.chip_sums[i].result.is_null()) return;
  const LossLab::ChipSums& sums = side.chip_sums[i];
  json["chip_sums"] = sums.result;
  json["chip_sums"]["row"] = sums.row;
}

Result<silicon::CostReport> cost_of(const StudyState& state, const search::Candidate& candidate,
                                    size_t i) {
  const ProductState& product = state.products[i];
  const recipe::Recipe recipe = recipe_of(product, candidate.treatments[i]);
  const silicon::Residency residency(candidate.resident_frac[i].begin(),
                                     candidate.resident_frac[i].end());
  return silicon::estimate_cost(candidate.chip, state.technology, product.shape, product.workload,
                                recipe, residency);
}

Result<Json> product_point(const StudyState& state, const SideAnswer& side, size_t i,
                           const silicon::CostReport& report) {
  const ProductState& product = state.products[i];
  const search::Candidate& candidate = side.settled.candidate;
  const recipe::Recipe recipe = recipe_of(product, candidate.treatments[i]);
  Json json = {{"name", product.config.name},
               {"rotation", recipe::rotation_name(product.rotation)},
               {"recipe", recipe_to_json(product, candidate.treatments[i])},
               {"resident_frac", residency_to_json(product, candidate.resident_frac[i])},
               {"bits_per_weight", recipe::bits_per_weight(product.shape, recipe)},
               {"predicted_kl_nats", search::total_loss(product.losses, candidate.treatments[i])}};
  add_losses(side, i, json);
  json["cost"] = silicon::cost_to_json(report);
  return json;
}

// What of an op's name a short point tells apart.
std::string group_of(const std::string& op) {
  static constexpr std::array kGroups = {"attn_qkv",    "attn_o",   "attention",
                                         "mlp_gate_up", "mlp_down", "head"};
  return std::ranges::find(kGroups, op) != kGroups.end() ? op : "other";
}

struct GroupSum {
  double latency_ns = 0;
  double energy_pj = 0;
  double dram_bytes = 0;
  std::map<std::string, double> latency_by_resource_ns;
};

// [phase, group, latency_ns, energy_pj, dram_bytes, binding resource], prefill first.
Json groups_to_json(const silicon::CostReport& report) {
  std::map<std::pair<bool, std::string>, GroupSum> groups;
  for (const silicon::OpReport& op : report.ops) {
    GroupSum& group = groups[{op.decode, group_of(op.name)}];
    group.latency_ns += op.cost.latency_ns;
    group.energy_pj += op.cost.energy.total_pj();
    group.dram_bytes += op.cost.dram_bytes;
    group.latency_by_resource_ns[std::string(silicon::resource_name(op.cost.binding()))] +=
        op.cost.latency_ns;
  }
  Json rows = Json::array();
  for (const auto& [key, group] : groups) {
    const auto binding = std::ranges::max_element(group.latency_by_resource_ns, {},
                                                  [](const auto& entry) { return entry.second; });
    rows.push_back({key.first ? "decode" : "prefill", key.second, group.latency_ns, group.energy_pj,
                    group.dram_bytes, binding->first});
  }
  return rows;
}

Json short_product(const ProductState& product, const search::Candidate& candidate, size_t i,
                   const silicon::CostReport& report) {
  const recipe::Recipe recipe = recipe_of(product, candidate.treatments[i]);
  return Json{{"name", product.config.name},
              {"rotation", recipe::rotation_name(product.rotation)},
              {"treatments", candidate.treatments[i]},
              {"resident_frac", residency_to_json(product, candidate.resident_frac[i])},
              {"predicted_kl_nats", search::total_loss(product.losses, candidate.treatments[i])},
              {"bits_per_weight", recipe::bits_per_weight(product.shape, recipe)},
              {"latency_ns", report.latency_ns},
              {"bound_latency_ns", report.bound_latency_ns},
              {"prefill_latency_ns", report.prefill_latency_ns},
              {"time_per_token_ns", report.time_per_token_ns},
              {"throughput_tokens_per_s", report.throughput_tokens_per_s},
              {"energy_pj", report.energy_pj},
              {"energy_pj_per_token", report.energy_pj_per_token},
              {"sustained_power_mw", report.sustained_power_mw},
              {"groups", groups_to_json(report)}};
}

Json steps_to_json(const Settled& settled) {
  Json steps = Json::array();
  for (const SettleStep& step : settled.steps) {
    steps.push_back({{"predicted_cap_nats", step.predicted_cap},
                     {"worst_ratio", step.worst_ratio},
                     {"objective_value", step.objective}});
  }
  return steps;
}

Result<Json> baseline_to_json(const StudyStates& states, const SideAnswer& baseline,
                              const Ratio& ratio, bool comparable) {
  Json json = {{"name", baseline.name},
               {"feasible", baseline.settled.feasible && comparable},
               {"why_not", baseline.why_not},
               {"fixed_first", baseline.fixed_first}};
  if (!baseline.settled.feasible || !comparable) return json;
  json["ratio"] = ratio.value;
  json["ratio_low"] = ratio.low;
  json["ratio_high"] = ratio.high;
  json["verdict"] = ratio.verdict;
  DOVETAIL_TRY(json["point"], point_to_json(states[baseline.state], baseline));
  return json;
}

}  // namespace

Result<Json> point_to_json(const StudyState& state, const SideAnswer& side) {
  const search::Candidate& candidate = side.settled.candidate;
  Json point = {{"chip", to_json(candidate.chip)}};
  Json products = Json::array();
  for (size_t i = 0; i < state.products.size(); ++i) {
    DOVETAIL_TRY(const silicon::CostReport report, cost_of(state, candidate, i));
    if (i == 0) {
      point["limits"] = chip_limits_to_json(report);
      point["area_parts_mm2"] = silicon::area_to_json(report.area);
      point["power_parts_mw"] = silicon::power_to_json(report.peak_power);
      point["roofs"] = silicon::roofs_to_json(report.roofs);
    }
    DOVETAIL_TRY(Json product, product_point(state, side, i, report));
    products.push_back(std::move(product));
  }
  point["objective_value"] = candidate.objective;
  point["gap_frac"] = candidate.gap_frac;
  point["products"] = std::move(products);
  return point;
}

Result<Json> short_point_to_json(const StudyState& state, const search::Candidate& candidate) {
  Json point = {{"chip", to_json(candidate.chip)}};
  Json products = Json::array();
  for (size_t i = 0; i < state.products.size(); ++i) {
    DOVETAIL_TRY(const silicon::CostReport report, cost_of(state, candidate, i));
    if (i == 0) {
      point["limits"] = chip_limits_to_json(report);
      point["area_parts_mm2"] = silicon::area_to_json(report.area);
      point["roofs"] = silicon::roofs_to_json(report.roofs);
    }
    products.push_back(short_product(state.products[i], candidate, i, report));
  }
  point["products"] = std::move(products);
  return point;
}

Result<Json> scenario_to_json(const StudyStates& states, const ScenarioAnswer& answer) {
  const bool feasible = answer.joint.settled.feasible;
  Json json = {{"objective", search::objective_name(answer.objective)},
               {"kl_cap_nats", answer.kl_cap_nats},
               {"feasible", feasible},
               {"why_not", feasible ? "" : answer.joint.why_not},
               {"joint_from", answer.joint_from}};
  if (feasible) {
    DOVETAIL_TRY(json["recommendation"], point_to_json(states[answer.joint.state], answer.joint));
    json["elasticity"] = answer.elasticity;
  }
  json["baselines"] = Json::array();
  json["settle_steps"] = {{"joint", steps_to_json(answer.joint.settled)}};
  for (size_t i = 0; i < answer.baselines.size(); ++i) {
    const SideAnswer& baseline = answer.baselines[i];
    DOVETAIL_TRY(Json row, baseline_to_json(states, baseline, answer.ratios[i], feasible));
    json["baselines"].push_back(std::move(row));
    json["settle_steps"][baseline.name] = steps_to_json(baseline.settled);
  }
  return json;
}

}  // namespace dovetail::study
