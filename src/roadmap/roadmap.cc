#include "roadmap/roadmap.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "roadmap/asker.h"
#include "roadmap/band.h"
#include "roadmap/falsifiers.h"

namespace dovetail::roadmap {
namespace {

constexpr const char* kEstablished = "established";
constexpr const char* kNotEstablished = "not established";
constexpr const char* kPredictedOnly = "predicted only";

Alternative to_alternative(const Asker& asker, Point point) {
  const Point& answer = asker.point();
  Alternative alternative{.saved = saved_band(asker.tables(), asker.answer(), answer, point),
                          .saved_latency_frac = 1 - answer.latency_ns / point.latency_ns,
                          .saved_energy_frac = 1 - answer.energy_pj / point.energy_pj,
                          .saved_area_frac = 1 - answer.area_mm2 / point.area_mm2};
  alternative.point = std::move(point);
  return alternative;
}

std::optional<Alternative> alternative_of(const Asker& asker, Point point) {
  if (!point.feasible) return std::nullopt;
  return to_alternative(asker, std::move(point));
}

// Weights of the linears that use it; where it is about the cache alone, kv sites.
double share_of(const Asker& asker, const Technique& technique) {
  double used = 0;
  double all = 0;
  const bool of_kv = std::ranges::any_of(technique.kv, [](uint8_t uses) { return uses != 0; });
  for (size_t p = 0; p < asker.point().treatments.size(); ++p) {
    const RotatedProduct& product = asker.product(p);
    if (technique.kind == TechniqueKind::kRotation) {
      ++all;
      used += asker.point().rotations[p] == technique.rotation ? 1 : 0;
      continue;
    }
    for (int64_t s = 0; s < product.losses.num_sites(); ++s) {
      const recipe::SiteKind kind = search::site_kind(product.losses, s);
      if ((kind == recipe::SiteKind::kKv) != of_kv) continue;
      const recipe::LinearShape shape = recipe::linear_shape(product.costs->shape(), kind);
      const double size = of_kv ? 1 : static_cast<double>(shape.n) * static_cast<double>(shape.k);
      all += size;
      if (technique.uses(kind, asker.point().treatments[p][static_cast<size_t>(s)])) used += size;
    }
  }
  return all > 0 ? used / all : 0;
}

// Of the product that has most of it, in measured nats.
Band added_band(const Asker& asker, const std::vector<double>& added, double spread) {
  double largest = 0;
  for (size_t p = 0; p < added.size(); ++p)
    largest = std::max(largest, added[p] * asker.loss_scale(p));
  return {.value = largest, .low = largest / (spread * spread), .high = largest * spread * spread};
}

Band per_nat(const Band& saved, const Band& nats) {
  return {.value = saved.value / nats.value,
          .low = saved.low / (saved.low < 0 ? nats.low : nats.high),
          .high = saved.high / nats.low};
}

std::string confidence_of_saving(const Asker& asker, const Alternative& alternative) {
  if (asker.predicted_only()) return kPredictedOnly;
  return alternative.saved.low > 0 ? kEstablished : kNotEstablished;
}

// Nothing else keeps the caps on this chip; with all that the prediction may be wrong by either?
Result<std::string> confidence_of_need(const Asker& asker, const Row& row) {
  if (asker.predicted_only()) return std::string(kPredictedOnly);
  const double spread = asker.spread_of(row.technique);
  DOVETAIL_TRY(const Point relaxed, asker.without(row.technique, row.silicon, spread * spread));
  return std::string(relaxed.feasible ? kNotEstablished : kEstablished);
}

Status rank_used(const Asker& asker, Row& row) {
  DOVETAIL_TRY(row.silicon, silicon_need(asker.tables(), asker.point(), row.technique));
  const std::vector<double> added = asker.added_nats(row.technique);
  DOVETAIL_TRY(Point equal, asker.without(row.technique, row.silicon, 1));
  DOVETAIL_TRY(Point unspent, asker.without_and_unspent(row.technique, row.silicon, added));
  row.equal_loss = alternative_of(asker, std::move(equal));
  row.without = alternative_of(asker, std::move(unspent));
  row.added_nats = added_band(asker, added, asker.spread_of(row.technique));
  if (row.without.has_value() && row.added_nats->value > 0)
    row.saved_per_nat = per_nat(row.without->saved, *row.added_nats);
  if (row.equal_loss.has_value()) {
    row.confidence = confidence_of_saving(asker, *row.equal_loss);
  } else {
    DOVETAIL_TRY(row.confidence, confidence_of_need(asker, row));
  }
  DOVETAIL_TRY(row.falsified_by, falsifiers_of_used(asker, row));
  return {};
}

Status rank_used_rotation(const Asker& asker, Row& row) {
  DOVETAIL_TRY(Point equal, asker.without_rotation(row.technique.rotation));
  row.equal_loss = alternative_of(asker, std::move(equal));
  row.confidence =
      row.equal_loss.has_value() ? confidence_of_saving(asker, *row.equal_loss) : kNotEstablished;
  DOVETAIL_TRY(row.falsified_by, falsifiers_of_used(asker, row));
  return {};
}

Status rank_not_used(const Asker& asker, Row& row) {
  DOVETAIL_TRY(const Entry entry, asker.entry_of(row.technique));
  row.enters_at_frac = entry.at_frac;
  const double spread = asker.spread_of(row.technique);
  const bool sure = !entry.at_frac.has_value() || *entry.at_frac < 1 / (spread * spread);
  row.confidence = asker.predicted_only() ? kPredictedOnly : sure ? kEstablished : kNotEstablished;
  row.falsified_by = falsifiers_of_unused(asker, row, entry);
  return {};
}

bool is_empty(const Technique& technique) {
  const auto any = [](const std::vector<uint8_t>& list) {
    return std::ranges::any_of(list, [](uint8_t uses) { return uses != 0; });
  };
  return technique.kind != TechniqueKind::kRotation && !any(technique.linear) && !any(technique.kv);
}

// Techniques of which the chip executes the same treatments are one technique here: the first.
class Seen {
 public:
  bool add(const Technique& executed) {
    if (executed.kind == TechniqueKind::kRotation || is_empty(executed)) return true;
    std::string key(executed.linear.begin(), executed.linear.end());
    key.append(executed.kv.begin(), executed.kv.end());
    return seen_.insert(std::move(key)).second;
  }

 private:
  std::set<std::string> seen_;
};

Result<Row> make_row(const Asker& asker, const Technique& technique, bool executed) {
  Row row{.technique = technique, .share_frac = share_of(asker, technique)};
  const bool rotation = technique.kind == TechniqueKind::kRotation;
  if (row.share_frac > 0) {
    row.place = Place::kUsed;
    DOVETAIL_TRY_STATUS(rotation ? rank_used_rotation(asker, row) : rank_used(asker, row));
    return row;
  }
  if (!executed) {
    row.place = Place::kNotOnChip;
    row.confidence = asker.predicted_only() ? kPredictedOnly : kNotEstablished;
    return row;
  }
  DOVETAIL_TRY_STATUS(rank_not_used(asker, row));
  return row;
}

// Larger first: groups, then what orders a group.
std::pair<int, double> rank_of(const Row& row) {
  const double infinite = std::numeric_limits<double>::infinity();
  const double worth = row.equal_loss.has_value() ? row.equal_loss->saved.value : infinite;
  if (row.place == Place::kNotOnChip) return {0, 0};
  if (row.place == Place::kNotUsed) return {1, row.enters_at_frac.value_or(-1)};
  if (row.technique.kind == TechniqueKind::kRotation) return {2, worth};
  if (row.saved_per_nat.has_value()) return {3, row.saved_per_nat->value};
  return {4, worth};  // without it this chip has no answer of fewer nats, or it adds none
}

}  // namespace

Result<ScenarioRoadmap> rank_techniques(const Tables& tables, const Answer& answer,
                                        const RoadmapParams& params, const ProgressSink& progress) {
  ScenarioRoadmap ranked;
  if (!answer.why_not.empty()) return ranked;
  DOVETAIL_TRY(const Asker asker, Asker::open(tables, answer));
  const std::vector<Technique> techniques = techniques_of(tables.menu, tables.rotations);
  Seen seen;
  for (size_t i = 0; i < techniques.size(); ++i) {
    report_progress(progress, "leaving out " + techniques[i].name,
                    static_cast<double>(i) / static_cast<double>(techniques.size()));
    DOVETAIL_TRY(const Technique executed, asker.executed_part(techniques[i]));
    if (!seen.add(executed)) continue;
    DOVETAIL_TRY(Row row, make_row(asker, techniques[i], !is_empty(executed)));
    if (params.space && tables.space.has_value() && row.place == Place::kUsed &&
        techniques[i].kind != TechniqueKind::kRotation) {
      DOVETAIL_TRY(Point anywhere, asker.without_in_space(techniques[i], progress));
      row.space = alternative_of(asker, std::move(anywhere));
    }
    ranked.rows.push_back(std::move(row));
  }
  std::ranges::stable_sort(ranked.rows, std::greater<>(), rank_of);
  return ranked;
}

}  // namespace dovetail::roadmap
