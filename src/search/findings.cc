#include "search/findings.h"

#include <algorithm>
#include <tuple>

namespace dovetail::search {
namespace {

constexpr size_t kFirstThinning = 4096;

double best_value(const Ranking& ranking) {
  return ranking.entries().empty() ? kImpossible : ranking.entries().front().value();
}

}  // namespace

Findings::Findings(const std::vector<SweepTarget>& targets, int64_t num_questions,
                   const SweepParams& params, double min_area_mm2, double max_area_mm2)
    : targets_(targets), contenders_(targets.size()), thin_at_(targets.size(), kFirstThinning) {
  incumbents_.rankings.assign(targets.size(), Ranking(params.top_k));
  if (params.keep_front) {
    incumbents_.fronts.assign(
        static_cast<size_t>(num_questions),
        Staircase(min_area_mm2, std::max(min_area_mm2, max_area_mm2), params.front_epsilon_frac));
  }
}

void Findings::add(const SolvedChip& chip) {
  ++num_solved_;
  incumbents_.add(targets_, chip);
  for (size_t t = 0; t < targets_.size(); ++t) {
    const CostRange& range = chip.ranges[static_cast<size_t>(targets_[t].question)];
    const SweepEntry entry{.chip_index = chip.chip_index,
                           .area_mm2 = chip.area_mm2,
                           .factor = scale_factor(targets_[t].scale, chip.area_mm2, chip.price_usd),
                           .lower = range.lower,
                           .upper = range.upper};
    if (!(entry.factor * entry.lower < best_value(incumbents_.rankings[t]))) continue;
    contenders_[t].push_back(entry);
    if (contenders_[t].size() >= thin_at_[t]) thin(t);
  }
}

void Findings::thin(size_t target) {
  std::vector<SweepEntry>& contenders = contenders_[target];
  const double best = best_value(incumbents_.rankings[target]);
  std::erase_if(contenders,
                [best](const SweepEntry& entry) { return !(entry.factor * entry.lower < best); });
  thin_at_[target] = std::max(kFirstThinning, 2 * contenders.size());
}

void Findings::finish(SweepOutcome& outcome) const {
  for (size_t t = 0; t < targets_.size(); ++t) {
    SweepOutcome::Target target;
    target.ranking = incumbents_.rankings[t].entries();
    const double best = best_value(incumbents_.rankings[t]);
    for (const SweepEntry& entry : contenders_[t]) {
      const bool ranked = std::ranges::any_of(target.ranking, [&entry](const SweepEntry& other) {
        return other.chip_index == entry.chip_index;
      });
      if (!ranked && entry.factor * entry.lower < best) target.contenders.push_back(entry);
    }
    std::ranges::sort(target.contenders, {}, [](const SweepEntry& e) {
      return std::make_tuple(e.factor * e.lower, e.area_mm2, e.chip_index);
    });
    outcome.targets.push_back(std::move(target));
  }
  for (const Staircase& front : incumbents_.fronts) outcome.fronts.push_back(front.entries());
}

}  // namespace dovetail::search
