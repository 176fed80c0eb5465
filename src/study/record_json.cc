#include "study/record_json.h"

#include <cmath>

#include <fmt/format.h>

#include "study/point_json.h"

namespace dovetail::study {

Json product_to_json(const ProductState& product, int64_t off_grid_seed) {
  const model::ModelShape& shape = product.shape;
  return Json{
      {"name", product.config.name},
      {"model", product.config.model},
      {"shape",
       {{"num_layers", shape.num_layers},
        {"hidden_size", shape.hidden_size},
        {"intermediate_size", shape.intermediate_size},
        {"num_heads", shape.num_heads},
        {"num_kv_heads", shape.num_kv_heads},
        {"head_dim", shape.head_dim},
        {"vocab_size", shape.vocab_size},
        {"tied_embedding", shape.tied_embedding}}},
      {"workload", to_json(product.workload)},
      {"weight", product.config.weight},
      {"loss_profile",
       product.measurable ? "own" : fmt::format("borrowed from {}", product.config.loss_profile)},
      {"weights_digest", product.lab->digest()},
      {"off_grid_seed", off_grid_seed}};
}

Json menu_to_json(const recipe::Menu& menu) {
  Json linear = Json::array();
  Json kv = Json::array();
  for (const auto& treatment : menu.linear) linear.push_back(recipe::treatment_name(treatment));
  for (const auto& treatment : menu.kv) kv.push_back(recipe::treatment_name(treatment));
  return Json{{"linear", linear}, {"kv", kv}};
}

Json losses_to_json(const ProductState& product) {
  Json sites = Json::array();
  Json losses = Json::array();
  for (size_t i = 0; i < product.losses.loss.size(); ++i) {
    sites.push_back(recipe::site_name(recipe::site_at(product.shape, static_cast<int64_t>(i))));
    Json row = Json::array();
    for (const double loss : product.losses.loss[i]) {
      row.push_back(std::isfinite(loss) ? Json(loss) : Json());
    }
    losses.push_back(std::move(row));
  }
  return Json{{"product", product.config.name}, {"sites", sites}, {"loss_nats", losses}};
}

Json constants_to_json(const silicon::Technology& technology) {
  Json constants = Json::array();
  for (const auto& [key, constant] : technology.constants()) {
    constants.push_back({{"key", key},
                         {"value", constant.value},
                         {"low", constant.low},
                         {"high", constant.high},
                         {"unit", constant.unit},
                         {"source", constant.source},
                         {"date", constant.date}});
  }
  return constants;
}

namespace {

Json search_to_json(const search::EnumerateStats& stats, double front_epsilon_frac) {
  Json json = {{"num_chips", stats.num_chips},
               {"rejected", stats.rejected},
               {"num_in_budget", stats.num_in_budget},
               {"num_pruned", stats.num_pruned},
               {"num_allocated", stats.num_allocated},
               {"exact", stats.exact},
               {"method", stats.exact ? "exact" : "nsga2"},
               {"front_epsilon_frac", front_epsilon_frac}};
  if (!stats.exact) {
    json["evaluations"] = stats.evaluations;
    json["seeds"] = stats.seeds;
    json["bound_gap_frac"] = stats.bound_gap_frac;
  }
  return json;
}

Result<Json> front_to_json(const StudyState& state, const std::vector<search::FrontEntry>& front,
                           double bias) {
  Json entries = Json::array();
  for (const search::FrontEntry& entry : front) {
    const bool latency = entry.metric_kind == search::Metric::kLatency;
    Json json = {{"kl_cap_nats", entry.max_loss * bias},
                 {"metric", latency ? "latency" : "energy"}};
    DOVETAIL_TRY(Json point, short_point_to_json(state, entry.candidate));
    json.update(point);
    entries.push_back(std::move(json));
  }
  return entries;
}

}  // namespace

Result<Json> sweep_to_json(const StudyState& state, const search::EnumerateResult& result,
                           double bias, double front_epsilon_frac) {
  DOVETAIL_TRY(Json front, front_to_json(state, result.front, bias));
  return Json{{"search", search_to_json(result.stats, front_epsilon_frac)},
              {"front", std::move(front)},
              {"seconds", result.stats.seconds}};
}

}  // namespace dovetail::study
