#include "search/closing.h"

#include <algorithm>
#include <tuple>

#include "base/parallel.h"
#include "search/block_walk.h"
#include "silicon/estimate.h"

namespace dovetail::search {
namespace {

constexpr size_t kContendersAtOnce = 8;  // closed in parallel, whatever the machine

}  // namespace

Result<ClosedPoint> close_on_chip(const ChipQuestions& questions, const chip::Chip& chip,
                                  int64_t question, double max_gap_frac) {
  std::vector<silicon::CostTable> tables;
  DOVETAIL_TRY_STATUS(fill_tables(questions.products(), chip, tables));
  DOVETAIL_TRY(ClosedPoint point, questions.close(tables, question, max_gap_frac));
  DOVETAIL_TRY(point.candidate.limits, questions.products().front().costs->limits(chip));
  point.candidate.chip = chip;
  point.candidate.objective = point.candidate.metric;
  return point;
}

void set_objective(Scale scale, Candidate& candidate) {
  const silicon::ChipLimits& limits = candidate.limits;
  candidate.objective =
      candidate.metric *
      scale_factor(scale, limits.area_mm2, limits.die_price_usd + limits.dram_price_usd);
}

Result<double> sustained_power_w(const std::vector<Product>& products, const Candidate& candidate) {
  double worst_mw = 0;
  for (size_t p = 0; p < products.size(); ++p) {
    const silicon::CostModel& costs = *products[p].costs;
    const recipe::Recipe recipe =
        recipe::make_recipe(costs.shape(), products[p].losses.menu, candidate.treatments[p]);
    const silicon::Residency residency(candidate.resident_frac[p].begin(),
                                       candidate.resident_frac[p].end());
    DOVETAIL_TRY(const silicon::CostReport report,
                 silicon::estimate_cost(candidate.chip, costs.technology(), costs.shape(),
                                        costs.workload(), recipe, residency));
    worst_mw = std::max(worst_mw, report.sustained_power_mw);
  }
  return worst_mw / 1e3;
}

Result<Closing::Closed> Closing::close_one(int64_t question, int64_t chip_index) const {
  Closed closed;
  DOVETAIL_TRY(closed.point,
               close_on_chip(questions_, chip_at(space_, chip_index), question, max_gap_frac_));
  closed.point.candidate.chip_index = chip_index;
  if (closed.point.candidate.metric < kImpossible) {
    DOVETAIL_TRY(const double power_w,
                 sustained_power_w(questions_.products(), closed.point.candidate));
    closed.over_sustained_power = power_w > budget_.max_sustained_power_w;
  }
  return closed;
}

Status Closing::ensure(int64_t question, const std::vector<SweepEntry>& entries) {
  std::vector<int64_t> missing;
  for (const SweepEntry& entry : entries) {
    if (!closed_.contains({question, entry.chip_index})) missing.push_back(entry.chip_index);
  }
  std::ranges::sort(missing);
  missing.erase(std::ranges::unique(missing).begin(), missing.end());
  std::vector<Result<Closed>> results(missing.size());
  parallel_for(static_cast<int64_t>(missing.size()), [&](int64_t i, int64_t) {
    results[static_cast<size_t>(i)] = close_one(question, missing[static_cast<size_t>(i)]);
  });
  for (size_t i = 0; i < missing.size(); ++i) {
    if (!results[i].has_value()) return std::unexpected(results[i].error());
    closed_.emplace(Key{question, missing[i]}, std::move(*results[i]));
  }
  return {};
}

Result<std::vector<ClosedPoint>> Closing::close_all(int64_t question,
                                                    const std::vector<SweepEntry>& entries) {
  DOVETAIL_TRY_STATUS(ensure(question, entries));
  std::vector<ClosedPoint> points;
  for (const SweepEntry& entry : entries) {
    const Closed& closed = closed_.at({question, entry.chip_index});
    if (!closed.over_sustained_power && closed.point.candidate.metric < kImpossible) {
      points.push_back(closed.point);
    }
  }
  return points;
}

Result<ClosedTarget> Closing::close_target(const SweepTarget& target,
                                           const SweepOutcome::Target& found) {
  ClosedTarget result;
  double best = kImpossible;
  const auto take = [&](const std::vector<SweepEntry>& entries) -> Status {
    DOVETAIL_TRY_STATUS(ensure(target.question, entries));
    for (const SweepEntry& entry : entries) {
      const Closed& closed = closed_.at({target.question, entry.chip_index});
      if (closed.over_sustained_power) ++result.num_over_sustained_power;
      if (closed.over_sustained_power || !(closed.point.candidate.metric < kImpossible)) continue;
      result.points.push_back(closed.point);
      set_objective(target.scale, result.points.back().candidate);
      best = std::min(best, result.points.back().candidate.objective);
    }
    return {};
  };
  DOVETAIL_TRY_STATUS(take(found.ranking));
  for (size_t first = 0; first < found.contenders.size(); first += kContendersAtOnce) {
    const size_t last = std::min(first + kContendersAtOnce, found.contenders.size());
    const SweepEntry& lowest = found.contenders[first];
    if (lowest.factor * lowest.lower >= best * (1.0 - max_gap_frac_)) break;
    DOVETAIL_TRY_STATUS(take({found.contenders.begin() + static_cast<std::ptrdiff_t>(first),
                              found.contenders.begin() + static_cast<std::ptrdiff_t>(last)}));
  }
  std::ranges::sort(result.points, {}, [](const ClosedPoint& point) {
    const Candidate& candidate = point.candidate;
    return std::make_tuple(candidate.objective, candidate.limits.area_mm2, candidate.chip_index);
  });
  return result;
}

}  // namespace dovetail::search
