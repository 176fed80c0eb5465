#include "search/sweep.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>

#include "base/parallel.h"
#include "search/block_walk.h"

namespace dovetail::search {
namespace {

constexpr int64_t kBlocksPerTask = 64;
constexpr int64_t kPartsPerRound = 16;  // parts of a round run in parallel, whatever the machine
constexpr int64_t kLargestPart = 64;    // blocks; the first rounds are smaller

// A block with at least one chip inside the budget.
struct Unit {
  int64_t block = 0;
  int64_t num_in_budget = 0;
  double min_area_mm2 = 0;
  double min_price_usd = 0;
  size_t bound = 0;  // position in the table of T0 bounds
  double score = 0;  // smallest ratio of its bound to the best bound of any answer; 1 is promising
};

struct Bound {
  std::vector<double> lower;  // per question
  std::string impossible_by;  // why all are infinite, empty if some are not
};

bool all_closed(const Incumbents& incumbents, const std::vector<SweepTarget>& targets,
                const Unit& unit, const std::vector<double>& lower) {
  for (size_t q = 0; q < lower.size(); ++q) {
    if (!incumbents.closed(targets, q, lower[q], unit.min_area_mm2, unit.min_price_usd)) {
      return false;
    }
  }
  return true;
}

// The first error by position, so that the message does not depend on thread timing.
class FirstError {
 public:
  void keep(int64_t position, Error error) {
    const std::scoped_lock lock(mutex_);
    if (position < position_) {
      position_ = position;
      error_ = std::move(error);
    }
  }
  [[nodiscard]] Status status() {
    if (position_ == std::numeric_limits<int64_t>::max()) return {};
    return std::unexpected(error_);
  }

 private:
  std::mutex mutex_;
  int64_t position_ = std::numeric_limits<int64_t>::max();
  Error error_;
};

class Sweep {
 public:
  Sweep(const ChipQuestions& questions, const Space& space, const Budget& budget,
        const std::vector<SweepTarget>& targets, const SweepParams& params,
        const ProgressSink& progress)
      : questions_(questions),
        costs_(*questions.products().front().costs),
        screen_(costs_, space, budget),
        targets_(targets),
        params_(params),
        progress_(progress) {}

  Result<SweepOutcome> run();

 private:
  Status screen_blocks();
  Status screen_task(int64_t first, int64_t last, std::vector<Unit>& units,
                     std::vector<std::string>& keys, std::array<int64_t, kNumLimits>& counts);
  Result<double> least_price(const Block& block) const;
  chip::Chip roomiest(const Block& block) const;
  Status bound_units();
  Result<Bound> bound_chip(const chip::Chip& chip, ChipSolver& solver,
                           std::vector<silicon::CostTable>& tables) const;
  void drop_impossible();
  void prepare_incumbents();
  void score_units();
  void score_by_fronts();
  Status walk_units();
  void merge(const std::vector<SolvedChip>& solved);
  void finish();

  const ChipQuestions& questions_;
  const silicon::CostModel& costs_;
  BudgetScreen screen_;
  const std::vector<SweepTarget>& targets_;
  const SweepParams& params_;
  const ProgressSink& progress_;
  std::vector<Unit> units_;
  std::vector<std::string> keys_;  // per unit
  std::vector<Bound> bounds_;
  Incumbents incumbents_;
  std::vector<std::vector<SweepEntry>> contenders_;  // per target
  int64_t num_solved_ = 0;
  SweepOutcome outcome_;
};

chip::Chip Sweep::roomiest(const Block& block) const {
  AxisValues position = block.position;
  const AxisValues largest = largest_positions(screen_.space());
  for (size_t axis = kFirstInnerAxis; axis < kNumAxes; ++axis) position[axis] = largest[axis];
  return chip_of(screen_.space(), position);
}

// The price of the smallest chip of the block: price does not fall when area grows.
Result<double> Sweep::least_price(const Block& block) const {
  AxisValues position = block.position;
  for (size_t inner = 0; inner < kNumInnerAxes; ++inner) {
    size_t smallest = block.terms[inner].size();
    for (size_t value = 0; value < block.terms[inner].size(); ++value) {
      const Block::Term& term = block.terms[inner][value];
      if (!term.valid) continue;
      if (smallest == block.terms[inner].size() ||
          term.area_mm2 < block.terms[inner][smallest].area_mm2) {
        smallest = value;
      }
    }
    position[kFirstInnerAxis + inner] = static_cast<int64_t>(smallest);
  }
  DOVETAIL_TRY(const silicon::ChipLimits limits, costs_.limits(chip_of(screen_.space(), position)));
  return limits.die_price_usd + limits.dram_price_usd;
}

Status Sweep::screen_task(int64_t first, int64_t last, std::vector<Unit>& units,
                          std::vector<std::string>& keys, std::array<int64_t, kNumLimits>& counts) {
  const bool priced =
      std::ranges::any_of(targets_, [](const auto& t) { return t.scale == Scale::kPrice; });
  for (int64_t index = first; index < last; ++index) {
    DOVETAIL_TRY(const Block block, screen_.block(index));
    DOVETAIL_TRY(const BlockSummary summary, screen_.summarise(block));
    for (size_t limit = 0; limit < counts.size(); ++limit) counts[limit] += summary.count[limit];
    Unit unit{
        .block = index, .num_in_budget = summary.count[0], .min_area_mm2 = summary.min_area_mm2};
    if (unit.num_in_budget == 0) continue;
    if (priced) {
      DOVETAIL_TRY(unit.min_price_usd, least_price(block));
    }
    units.push_back(unit);
    keys.push_back(costs_.bound_key(roomiest(block)));
  }
  return {};
}

Status Sweep::screen_blocks() {
  const int64_t num_tasks = (screen_.num_blocks() + kBlocksPerTask - 1) / kBlocksPerTask;
  std::vector<std::vector<Unit>> units(static_cast<size_t>(num_tasks));
  std::vector<std::vector<std::string>> keys(static_cast<size_t>(num_tasks));
  std::vector<std::array<int64_t, kNumLimits>> counts(static_cast<size_t>(num_tasks));
  FirstError error;
  parallel_for(num_tasks, [&](int64_t task, int64_t) {
    const auto t = static_cast<size_t>(task);
    const int64_t first = task * kBlocksPerTask;
    const int64_t last = std::min(first + kBlocksPerTask, screen_.num_blocks());
    const Status status = screen_task(first, last, units[t], keys[t], counts[t]);
    if (!status.has_value()) error.keep(task, status.error());
  });
  DOVETAIL_TRY_STATUS(error.status());
  EnumerateStats& stats = outcome_.stats;
  stats.num_chips = num_chips(screen_.space());
  for (size_t t = 0; t < units.size(); ++t) {
    units_.insert(units_.end(), units[t].begin(), units[t].end());
    std::ranges::move(keys[t], std::back_inserter(keys_));
    stats.num_in_budget += counts[t][0];
    for (size_t limit = 1; limit < counts[t].size(); ++limit) {
      if (counts[t][limit] == 0) continue;
      stats.rejected[std::string(limit_name(static_cast<Limit>(limit)))] += counts[t][limit];
    }
  }
  return {};
}

Result<Bound> Sweep::bound_chip(const chip::Chip& chip, ChipSolver& solver,
                                std::vector<silicon::CostTable>& tables) const {
  DOVETAIL_TRY_STATUS(fill_bounds(questions_.products(), chip, tables));
  Bound bound;
  solver.bound(tables, bound.lower);
  const auto impossible = [](const std::vector<double>& lower) {
    return std::ranges::none_of(lower, [](double value) { return value < kImpossible; });
  };
  if (!impossible(bound.lower)) return bound;
  std::vector<double> with_memory;
  for (silicon::CostTable& table : tables) table.dram_bytes = std::numeric_limits<double>::max();
  solver.bound(tables, with_memory);
  bound.impossible_by = impossible(with_memory) ? "loss" : "dram_capacity";
  return bound;
}

// One T0 table per key, not per block.
Status Sweep::bound_units() {
  std::map<std::string_view, size_t> position_of;
  std::vector<int64_t> representative;  // block
  for (size_t u = 0; u < units_.size(); ++u) {
    const auto [where, is_new] = position_of.try_emplace(keys_[u], representative.size());
    if (is_new) representative.push_back(units_[u].block);
    units_[u].bound = where->second;
  }
  bounds_.resize(representative.size());
  outcome_.num_bounds = static_cast<int64_t>(representative.size());
  struct Scratch {
    std::unique_ptr<ChipSolver> solver;
    std::vector<silicon::CostTable> tables;
  };
  std::vector<Scratch> scratch(static_cast<size_t>(num_threads()));
  FirstError error;
  const AxisValues largest = largest_positions(screen_.space());
  parallel_for(static_cast<int64_t>(representative.size()), [&](int64_t index, int64_t worker) {
    Scratch& mine = scratch[static_cast<size_t>(worker)];
    if (mine.solver == nullptr) mine.solver = questions_.make_solver();
    AxisValues position = split_index(
        screen_.lengths(), representative[static_cast<size_t>(index)] * screen_.block_size());
    for (size_t axis = kFirstInnerAxis; axis < kNumAxes; ++axis) position[axis] = largest[axis];
    Result<Bound> bound = bound_chip(chip_of(screen_.space(), position), *mine.solver, mine.tables);
    if (bound.has_value()) {
      bounds_[static_cast<size_t>(index)] = std::move(*bound);
    } else {
      error.keep(index, bound.error());
    }
  });
  keys_.clear();
  return error.status();
}

// Ratio of a unit's bound to the staircase of bounds at its area, per question.
void Sweep::score_by_fronts() {
  std::vector<size_t> by_area(units_.size());
  for (size_t u = 0; u < by_area.size(); ++u) by_area[u] = u;
  std::ranges::stable_sort(by_area, {}, [this](size_t u) { return units_[u].min_area_mm2; });
  for (size_t q = 0; q < static_cast<size_t>(questions_.count()); ++q) {
    double best = kImpossible;
    for (const size_t u : by_area) {
      const double lower = bounds_[units_[u].bound].lower[q];
      best = std::min(best, lower);
      if (lower < kImpossible) units_[u].score = std::min(units_[u].score, lower / best);
    }
  }
}

void Sweep::score_units() {
  for (Unit& unit : units_) unit.score = kImpossible;
  for (const SweepTarget& target : targets_) {
    const auto value = [&](const Unit& unit) {
      return scale_factor(target.scale, unit.min_area_mm2, unit.min_price_usd) *
             bounds_[unit.bound].lower[static_cast<size_t>(target.question)];
    };
    double best = kImpossible;
    for (const Unit& unit : units_) best = std::min(best, value(unit));
    for (Unit& unit : units_) {
      if (value(unit) < kImpossible) unit.score = std::min(unit.score, value(unit) / best);
    }
  }
  if (params_.keep_front) score_by_fronts();
  std::ranges::stable_sort(units_, {}, &Unit::score);
}

void Sweep::merge(const std::vector<SolvedChip>& solved) {
  num_solved_ += static_cast<int64_t>(solved.size());
  for (const SolvedChip& chip : solved) {
    incumbents_.add(targets_, chip);
    for (size_t t = 0; t < targets_.size(); ++t) {
      const CostRange& range = chip.ranges[static_cast<size_t>(targets_[t].question)];
      const SweepEntry entry{
          .chip_index = chip.chip_index,
          .area_mm2 = chip.area_mm2,
          .factor = scale_factor(targets_[t].scale, chip.area_mm2, chip.price_usd),
          .lower = range.lower,
          .upper = range.upper};
      const std::vector<SweepEntry>& ranking = incumbents_.rankings[t].entries();
      const double best = ranking.empty() ? kImpossible : ranking.front().value();
      if (entry.factor * entry.lower < best) contenders_[t].push_back(entry);
    }
  }
}

Status Sweep::walk_units() {
  std::vector<std::unique_ptr<BlockWalk>> walks(static_cast<size_t>(num_threads()));
  const auto total = static_cast<int64_t>(units_.size());
  int64_t part_size = 1;
  for (int64_t done = 0; done < total; part_size = std::min(2 * part_size, kLargestPart)) {
    const int64_t end = std::min(total, done + kPartsPerRound * part_size);
    const int64_t parts = (end - done + part_size - 1) / part_size;
    std::vector<std::vector<SolvedChip>> solved(static_cast<size_t>(parts));
    FirstError error;
    parallel_for(parts, [&](int64_t part, int64_t worker) {
      std::unique_ptr<BlockWalk>& walk = walks[static_cast<size_t>(worker)];
      if (walk == nullptr) {
        walk = std::make_unique<BlockWalk>(screen_, questions_, targets_, params_.prune);
      }
      Incumbents local = incumbents_;
      const int64_t last = std::min(end, done + (part + 1) * part_size);
      for (int64_t u = done + part * part_size; u < last; ++u) {
        const Unit& unit = units_[static_cast<size_t>(u)];
        const std::vector<double>& lower = bounds_[unit.bound].lower;
        if (params_.prune && all_closed(local, targets_, unit, lower)) continue;
        const Result<Block> block = screen_.block(unit.block);
        const Status status = block.has_value()
                                  ? walk->walk(*block, lower, unit.min_price_usd, local,
                                               solved[static_cast<size_t>(part)])
                                  : Status(std::unexpected(block.error()));
        if (!status.has_value()) error.keep(part, status.error());
      }
    });
    DOVETAIL_TRY_STATUS(error.status());
    for (const std::vector<SolvedChip>& part : solved) merge(part);
    done = end;
    report_progress(progress_, "searching chips",
                    static_cast<double>(done) / static_cast<double>(total));
  }
  return {};
}

void Sweep::drop_impossible() {
  EnumerateStats& stats = outcome_.stats;
  std::erase_if(units_, [&](const Unit& unit) {
    const std::string& reason = bounds_[unit.bound].impossible_by;
    if (reason.empty()) return false;
    stats.rejected[reason] += unit.num_in_budget;
    stats.num_pruned -= unit.num_in_budget;
    return true;
  });
}

void Sweep::prepare_incumbents() {
  double least_area = kImpossible;
  for (const Unit& unit : units_) least_area = std::min(least_area, unit.min_area_mm2);
  incumbents_.rankings.assign(targets_.size(), Ranking(params_.top_k));
  if (params_.keep_front) {
    const double most_area = std::max(least_area, screen_.budget().max_area_mm2);
    incumbents_.fronts.assign(static_cast<size_t>(questions_.count()),
                              Staircase(least_area, most_area, params_.front_epsilon_frac));
  }
  contenders_.resize(targets_.size());
}

void Sweep::finish() {
  for (size_t t = 0; t < targets_.size(); ++t) {
    SweepOutcome::Target target;
    target.ranking = incumbents_.rankings[t].entries();
    const double best = target.ranking.empty() ? kImpossible : target.ranking.front().value();
    for (const SweepEntry& entry : contenders_[t]) {
      const bool ranked = std::ranges::any_of(target.ranking, [&entry](const SweepEntry& other) {
        return other.chip_index == entry.chip_index;
      });
      if (!ranked && entry.factor * entry.lower < best) target.contenders.push_back(entry);
    }
    std::ranges::sort(target.contenders, {}, [](const SweepEntry& e) {
      return std::make_tuple(e.factor * e.lower, e.area_mm2, e.chip_index);
    });
    outcome_.targets.push_back(std::move(target));
  }
  for (const Staircase& front : incumbents_.fronts) outcome_.fronts.push_back(front.entries());
  outcome_.stats.num_allocated = num_solved_;
  outcome_.stats.num_pruned += outcome_.stats.num_in_budget - num_solved_;
}

Result<SweepOutcome> Sweep::run() {
  const auto start = std::chrono::steady_clock::now();
  DOVETAIL_TRY_STATUS(screen_blocks());
  DOVETAIL_TRY_STATUS(bound_units());
  drop_impossible();
  if (!units_.empty()) {
    prepare_incumbents();
    score_units();
    DOVETAIL_TRY_STATUS(walk_units());
  } else {
    incumbents_.rankings.assign(targets_.size(), Ranking(params_.top_k));
    contenders_.resize(targets_.size());
  }
  finish();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  outcome_.stats.seconds = seconds.count();
  return std::move(outcome_);
}

}  // namespace

Result<SweepOutcome> sweep(const ChipQuestions& questions, const Space& space, const Budget& budget,
                           const std::vector<SweepTarget>& targets, const SweepParams& params,
                           const ProgressSink& progress) {
  return Sweep(questions, space, budget, targets, params, progress).run();
}

}  // namespace dovetail::search
