// The roadmap as JSON: every number with its unit in its key (docs/roadmap.md).
#include <fmt/format.h>

#include "roadmap/known_techniques.h"
#include "roadmap/roadmap.h"

namespace dovetail::roadmap {
namespace {

constexpr int kRoadmapVersion = 1;

void put_band(Json& json, const std::string& key, const std::string& unit, const Band& band,
              bool known) {
  json[key + unit] = band.value;
  json[key + "_low" + unit] = known ? Json(band.low) : Json();
  json[key + "_high" + unit] = known ? Json(band.high) : Json();
}

Json alternative_to_json(const std::optional<Alternative>& alternative, bool has_band) {
  if (!alternative.has_value()) return {{"feasible", false}};
  const Point& point = alternative->point;
  Json json = {{"feasible", true},
               {"chip", point.chip.name},
               {"objective_value", point.objective},
               {"gap_frac", point.gap_frac},
               {"latency_ns", point.latency_ns},
               {"energy_pj", point.energy_pj},
               {"area_mm2", point.area_mm2}};
  put_band(json, "saved", "_frac", alternative->saved, has_band);
  json["saved_latency_frac"] = alternative->saved_latency_frac;
  json["saved_energy_frac"] = alternative->saved_energy_frac;
  json["saved_area_frac"] = alternative->saved_area_frac;
  return json;
}

const char* place_name(Place place) {
  return place == Place::kUsed      ? "used"
         : place == Place::kNotUsed ? "not used"
                                    : "not on this chip";
}

Json row_to_json(const Tables& tables, const Row& row, bool space) {
  const bool has_band = !tables.bands.empty();
  Json json = {{"technique", row.technique.name},
               {"kind", kind_words(row.technique.kind)},
               {"place", place_name(row.place)},
               {"share_frac", row.share_frac}};
  if (row.added_nats.has_value()) put_band(json, "added", "_nats", *row.added_nats, has_band);
  if (row.saved_per_nat.has_value())
    put_band(json, "saved", "_frac_per_nat", *row.saved_per_nat, has_band);
  if (row.place == Place::kUsed) {
    if (row.technique.kind != TechniqueKind::kRotation)
      json["without"] = alternative_to_json(row.without, has_band);
    json["equal_loss"] = alternative_to_json(row.equal_loss, has_band);
    json["same_cost_without"] =
        row.equal_loss.has_value() && row.equal_loss->saved.value <= kSolverGapFrac;
    if (space && row.technique.kind != TechniqueKind::kRotation)
      json["space"] = alternative_to_json(row.space, has_band);
    json["silicon"] = need_to_json(row.silicon);
  }
  if (row.place == Place::kNotUsed)
    json["enters_at_frac"] = row.enters_at_frac.has_value() ? Json(*row.enters_at_frac) : Json();
  if (row.place == Place::kNotOnChip) json["wanted_pairs"] = wanted_pairs(tables, row.technique);
  json["confidence"] = row.confidence;
  json["falsified_by"] = row.falsified_by;
  return json;
}

Json bands_to_json(const Tables& tables) {
  Json json = Json::object();
  for (const auto& [rotation, band] : tables.bands) {
    json[std::string(recipe::rotation_name(rotation))] = {{"bias_ratio", band.bias_ratio},
                                                          {"spread_ratio", band.spread_ratio}};
  }
  return json;
}

Result<Json> answer_to_json(const Tables& tables, const Answer& answer) {
  DOVETAIL_TRY(const Point point, answer_point(tables, answer));
  Json products = Json::array();
  for (size_t p = 0; p < answer.products.size(); ++p) {
    const AnswerProduct& own = answer.products[p];
    Json product = {{"name", tables.products[p].name},
                    {"rotation", recipe::rotation_name(own.rotation)},
                    {"predicted_nats", own.predicted_nats},
                    {own.measured ? "measured_nats" : "expected_nats", own.loss_nats}};
    if (own.certified_nats.has_value()) {
      product["certified_nats"] = *own.certified_nats;
      product["certified_stderr_nats"] = own.certified_stderr_nats;
    }
    products.push_back(std::move(product));
  }
  return Json{{"chip", to_json(answer.chip)},    {"objective_value", answer.objective},
              {"latency_ns", point.latency_ns},  {"energy_pj", point.energy_pj},
              {"area_mm2", point.area_mm2},      {"gap_frac", answer.gap_frac},
              {"elasticity", answer.elasticity}, {"products", std::move(products)}};
}

}  // namespace

Result<Json> make_roadmap(const Tables& tables, const RoadmapParams& params,
                          const ProgressSink& progress) {
  Json roadmap = {{"roadmap_version", kRoadmapVersion},
                  {"name", tables.name},
                  {"question", tables.question},
                  {"prediction", bands_to_json(tables)},
                  {"scenarios", Json::array()}};
  const bool space = params.space && tables.space.has_value();
  roadmap["space_searched"] = space;
  for (const Answer& answer : tables.answers) {
    Json scenario = {{"objective", search::objective_name(answer.scenario.objective)},
                     {"kl_cap_nats", answer.scenario.max_loss},
                     {"feasible", answer.why_not.empty()},
                     {"why_not", answer.why_not},
                     {"rows", Json::array()}};
    if (answer.why_not.empty()) {
      DOVETAIL_TRY(scenario["answer"], answer_to_json(tables, answer));
      DOVETAIL_TRY(const ScenarioRoadmap ranked, rank_techniques(tables, answer, params, progress));
      for (const Row& row : ranked.rows)
        scenario["rows"].push_back(row_to_json(tables, row, space));
    }
    roadmap["scenarios"].push_back(std::move(scenario));
  }
  roadmap["unpriced"] = unpriced_techniques(tables.menu, tables.rotations);
  return roadmap;
}

}  // namespace dovetail::roadmap
