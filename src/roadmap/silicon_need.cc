#include "roadmap/silicon_need.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace dovetail::roadmap {
namespace {

using UnitPair = std::pair<size_t, size_t>;  // unit, pair

struct Execution {
  std::set<UnitPair> pairs;
  std::set<UnitPair> decoded;
  bool hadamard = false;
};

void add_dot(const chip::Chip& chip, const formats::WeightFormat& weight,
             formats::ActivationFormat activation, Execution& execution) {
  for (size_t u = 0; u < chip.units.size(); ++u) {
    const int64_t index = chip::native_pair(chip.units[u], weight, activation);
    if (index < 0) continue;
    const UnitPair place{u, static_cast<size_t>(index)};
    execution.pairs.insert(place);
    if (!chip::stored_natively(chip.units[u].pairs[place.second].weight, weight))
      execution.decoded.insert(place);
  }
}

// Every unit that can execute a treatment counts: which one is used differs from op to op.
void add_treatment(const chip::Chip& chip, const recipe::Menu& menu, recipe::SiteKind kind,
                   int32_t treatment, Execution& execution) {
  const auto at = static_cast<size_t>(treatment);
  if (kind == recipe::SiteKind::kKv) {
    const recipe::KvTreatment& kv = menu.kv.at(at);
    add_dot(chip, chip::kv_as_weight(kv.keys), kv.query, execution);
    add_dot(chip, chip::kv_as_weight(kv.values), kv.query, execution);
    execution.hadamard = execution.hadamard || kv.hadamard > 0;
    return;
  }
  const recipe::LinearTreatment& linear = menu.linear.at(at);
  add_dot(chip, linear.weight, linear.activation, execution);
  execution.hadamard = execution.hadamard || linear.hadamard > 0;
}

// Bytes of the technique's sites in SRAM, and who executes what.
Result<double> walk_sites(const Tables& tables, const Point& answer, const Technique& technique,
                          Execution& its, Execution& others) {
  double resident_bytes = 0;
  for (size_t p = 0; p < answer.treatments.size(); ++p) {
    const RotatedProduct& product = tables.products[p].by_rotation.at(answer.rotations[p]);
    silicon::CostTable table;
    DOVETAIL_TRY_STATUS(product.costs->fill_table(answer.chip, table));
    for (int64_t s = 0; s < product.losses.num_sites(); ++s) {
      const recipe::SiteKind kind = search::site_kind(product.losses, s);
      const auto at = static_cast<size_t>(s);
      const int32_t treatment = answer.treatments[p][at];
      const bool uses = technique.uses(kind, treatment);
      add_treatment(answer.chip, tables.menu, kind, treatment, uses ? its : others);
      if (!uses) continue;
      const silicon::SiteCosts& site = table.sites[static_cast<size_t>(kind)];
      resident_bytes += static_cast<double>(answer.resident_frac[p][at]) *
                        static_cast<double>(site.bytes[static_cast<size_t>(treatment)]);
    }
  }
  return resident_bytes;
}

std::optional<chip::Chip> without_pairs(const chip::Chip& chip, const std::set<UnitPair>& gone) {
  chip::Chip left = chip;
  left.units.clear();
  for (size_t u = 0; u < chip.units.size(); ++u) {
    chip::MatrixUnit unit = chip.units[u];
    unit.pairs.clear();
    for (size_t i = 0; i < chip.units[u].pairs.size(); ++i)
      if (!gone.contains({u, i})) unit.pairs.push_back(chip.units[u].pairs[i]);
    if (!unit.pairs.empty()) left.units.push_back(std::move(unit));
  }
  if (left.units.empty() || !chip::check_chip(left).has_value()) return std::nullopt;
  return left;
}

}  // namespace

Result<SiliconNeed> silicon_need(const Tables& tables, const Point& answer,
                                 const Technique& technique) {
  SiliconNeed need;
  Execution its;
  Execution others;
  DOVETAIL_TRY(need.resident_bytes, walk_sites(tables, answer, technique, its, others));
  need.hadamard = its.hadamard;
  std::set<UnitPair> own;
  for (const UnitPair& place : its.pairs) {
    const bool alone = !others.pairs.contains(place);
    if (alone) own.insert(place);
    need.pairs.push_back({.pair = answer.chip.units[place.first].pairs[place.second],
                          .own = alone,
                          .decoded = its.decoded.contains(place)});
  }
  if (own.empty()) return need;
  need.chip_without = without_pairs(answer.chip, own);
  if (!need.chip_without.has_value()) return need;
  const auto& costs = tables.products.front().by_rotation.at(answer.rotations.front()).costs;
  const auto limits = costs->limits(*need.chip_without);
  if (!limits.has_value()) {  // a set of pairs that nobody has synthesised has no area
    need.chip_without.reset();
    return need;
  }
  need.own_area_mm2 = answer.area_mm2 - limits->area_mm2;
  return need;
}

std::vector<std::string> wanted_pairs(const Tables& tables, const Technique& technique) {
  std::vector<std::string> wanted;
  const auto add = [&](const std::string& weight, formats::ActivationFormat activation) {
    std::string words = fmt::format("{} x {}", weight, chip::activation_element(activation));
    if (std::ranges::find(wanted, words) == wanted.end()) wanted.push_back(std::move(words));
  };
  for (size_t t = 0; t < tables.menu.linear.size(); ++t) {
    const recipe::LinearTreatment& linear = tables.menu.linear[t];
    if (technique.linear[t] != 0) add(formats::format_name(linear.weight), linear.activation);
  }
  for (size_t t = 0; t < tables.menu.kv.size(); ++t) {
    const recipe::KvTreatment& kv = tables.menu.kv[t];
    if (technique.kv[t] != 0) add(formats::format_name(chip::kv_as_weight(kv.keys)), kv.query);
  }
  return wanted;
}

Json need_to_json(const SiliconNeed& need) {
  Json pairs = Json::array();
  for (const PairNeed& one : need.pairs) {
    pairs.push_back({{"weight", one.pair.weight},
                     {"activation", one.pair.activation},
                     {"own", one.own},
                     {"decoded", one.decoded}});
  }
  Json json = {{"pairs", std::move(pairs)},
               {"hadamard_unit", need.hadamard},
               {"resident_bytes", need.resident_bytes}};
  if (need.chip_without.has_value()) json["own_area_mm2"] = need.own_area_mm2;
  return json;
}

}  // namespace dovetail::roadmap
