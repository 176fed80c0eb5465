#include "roadmap/band.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace dovetail::roadmap {
namespace {

// As the study classes them: "gptq", "awq_gptq", "nearest".
std::string algorithm_class(const recipe::LinearTreatment& treatment) {
  std::string name(recipe::fold_name(treatment.fold));
  const std::string_view algorithm = recipe::algorithm_name(treatment.algorithm);
  if (!name.empty() && !algorithm.empty()) name += "_";
  name += algorithm;
  return name.empty() ? "nearest" : name;
}

double spread_of(const Tables& tables, recipe::SiteKind kind, int32_t treatment) {
  if (kind == recipe::SiteKind::kKv) return 1;
  return algorithm_spread(tables, tables.menu.linear.at(static_cast<size_t>(treatment)));
}

const search::LossTable& losses_of(const Tables& tables, const Point& point, size_t p) {
  return tables.products[p].by_rotation.at(point.rotations[p]).losses;
}

}  // namespace

double algorithm_spread(const Tables& tables, const recipe::LinearTreatment& treatment) {
  const auto found = tables.algorithm_bands.find(algorithm_class(treatment));
  return found == tables.algorithm_bands.end() ? 1 : found->second.spread_ratio;
}

double spread_between(const Tables& tables, const Point& one, const Point& other) {
  double spread = 1;
  for (size_t p = 0; p < one.treatments.size(); ++p) {
    for (const recipe::Rotation rotation : {one.rotations[p], other.rotations[p]}) {
      const auto found = tables.bands.find(rotation);
      if (found != tables.bands.end()) spread = std::max(spread, found->second.spread_ratio);
    }
    const search::LossTable& losses = losses_of(tables, one, p);
    for (size_t s = 0; s < one.treatments[p].size(); ++s) {
      if (one.treatments[p][s] == other.treatments[p][s]) continue;
      const recipe::SiteKind kind = search::site_kind(losses, static_cast<int64_t>(s));
      spread = std::max({spread, spread_of(tables, kind, one.treatments[p][s]),
                         spread_of(tables, kind, other.treatments[p][s])});
    }
  }
  return spread;
}

double changed_share(const Tables& tables, const Point& one, const Point& other) {
  double largest = 0;
  for (size_t p = 0; p < one.treatments.size(); ++p) {
    if (one.rotations[p] != other.rotations[p]) return 1;
    for (const Point* point : {&one, &other}) {
      const search::LossTable& losses = losses_of(tables, *point, p);
      double all = 0;
      double changed = 0;
      for (size_t s = 0; s < losses.loss.size(); ++s) {
        const double loss = losses.loss[s].at(static_cast<size_t>(point->treatments[p][s]));
        all += loss;
        if (one.treatments[p][s] != other.treatments[p][s]) changed += loss;
      }
      if (all > 0) largest = std::max(largest, changed / all);
    }
  }
  return std::min(1.0, largest);
}

Band saved_band(const Tables& tables, const Answer& answer, const Point& point,
                const Point& other) {
  const double spread = spread_between(tables, point, other);
  const double loss_ratio = 1 + changed_share(tables, point, other) * (spread * spread - 1);
  const double cost_ratio = std::pow(loss_ratio, answer.elasticity);
  const auto saved = [](double cost, double cost_without) { return 1 - cost / cost_without; };
  return {.value = saved(point.objective, other.objective),
          .low = saved(point.objective, other.objective * (1 - other.gap_frac) / cost_ratio),
          .high = saved(point.objective * (1 - point.gap_frac), other.objective * cost_ratio)};
}

}  // namespace dovetail::roadmap
