#include "study/record_json.h"

#include <algorithm>
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

Json menu_to_json(const StudyStates& states) {
  const recipe::Menu& menu = states.front().menu;
  Json linear = Json::array();
  Json kv = Json::array();
  Json rotations = Json::array();
  for (const auto& treatment : menu.linear) linear.push_back(recipe::treatment_name(treatment));
  for (const auto& treatment : menu.kv) kv.push_back(recipe::treatment_name(treatment));
  for (const recipe::Rotation rotation : rotations_of(states, 0))
    rotations.push_back(recipe::rotation_name(rotation));
  return Json{{"linear", linear}, {"kv", kv}, {"rotations", rotations}};
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
  return Json{{"product", product.config.name},
              {"rotation", recipe::rotation_name(product.rotation)},
              {"sites", sites},
              {"loss_nats", losses}};
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

Json joined_search(const StudyStates& states, const std::vector<Json>& sweeps) {
  Json joined = sweeps.front().at("search");
  if (sweeps.size() == 1) return joined;
  bool exact = true;
  double bound_gap_frac = 0;
  Json all = Json::object();
  for (size_t i = 0; i < sweeps.size(); ++i) {
    const Json& own = sweeps[i].at("search");
    exact = exact && own.at("exact").get<bool>();
    bound_gap_frac = std::max(bound_gap_frac, own.value("bound_gap_frac", 0.0));
    all[global_choice_name(states[i])] = own;
  }
  joined["exact"] = exact;
  if (!exact) joined["bound_gap_frac"] = bound_gap_frac;
  joined["by_global_choice"] = std::move(all);
  return joined;
}

namespace {

// What two entries of the front are compared by.
struct Place {
  double kl_cap_nats = 0;
  std::string metric;
  double area_mm2 = 0;
  double value = 0;  // of the metric, weighted over products
};

Place place_of(const StudyState& state, const Json& entry) {
  Place place{.kl_cap_nats = entry.at("kl_cap_nats").get<double>(),
              .metric = entry.at("metric").get<std::string>(),
              .area_mm2 = entry.at("limits").at("area_mm2").get<double>()};
  const char* key = place.metric == "energy" ? "energy_pj" : "latency_ns";
  for (size_t i = 0; i < state.products.size(); ++i) {
    place.value +=
        state.products[i].config.weight * entry.at("products").at(i).at(key).get<double>();
  }
  return place;
}

bool beats(const Place& a, const Place& b) {
  constexpr double kSameCap = 1e-9;  // caps came through the bias of each global choice
  if (a.metric != b.metric || std::abs(a.kl_cap_nats / b.kl_cap_nats - 1) > kSameCap) return false;
  return a.area_mm2 <= b.area_mm2 && a.value <= b.value &&
         (a.area_mm2 < b.area_mm2 || a.value < b.value);
}

}  // namespace

Json joined_front(const StudyStates& states, const std::vector<Json>& sweeps) {
  if (sweeps.size() == 1) return sweeps.front().at("front");
  std::vector<const Json*> entries;
  std::vector<Place> places;
  for (const Json& sweep : sweeps) {
    for (const Json& entry : sweep.at("front")) {
      entries.push_back(&entry);
      places.push_back(place_of(states.front(), entry));
    }
  }
  Json front = Json::array();
  for (size_t i = 0; i < entries.size(); ++i) {
    const bool beaten =
        std::ranges::any_of(places, [&](const Place& other) { return beats(other, places[i]); });
    if (!beaten) front.push_back(*entries[i]);
  }
  return front;
}

}  // namespace dovetail::study
