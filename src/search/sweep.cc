#include "search/sweep.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/parallel.h"
#include "search/block_walk.h"
#include "search/findings.h"

namespace dovetail::search {
namespace {

constexpr int64_t kBlocksPerTask = 64;
constexpr int64_t kTasksAtOnce = 1024;  // between two reports of progress
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
  // The blocks of one task that have chips inside the budget.
  struct Screened {
    std::vector<Unit> units;        // `bound` counts in `keys`
    std::vector<std::string> keys;  // distinct
    std::array<int64_t, kNumLimits> counts{};
  };
  Status screen_blocks();
  Status screen_task(int64_t task, Screened& screened) const;
  void take(Screened& screened);
  Result<double> least_price(const Block& block) const;
  chip::Chip roomiest(const Block& block) const;
  Status bound_units();
  Result<Bound> bound_chip(const chip::Chip& chip, ChipSolver& solver,
                           std::vector<silicon::CostTable>& tables) const;
  void drop_impossible();
  void prepare_findings();
  void score_units();
  void score_by_fronts();
  Status walk_units();
  void finish();

  const ChipQuestions& questions_;
  const silicon::CostModel& costs_;
  BudgetScreen screen_;
  const std::vector<SweepTarget>& targets_;
  const SweepParams& params_;
  const ProgressSink& progress_;
  std::vector<Unit> units_;
  std::map<std::string, size_t> bound_of_key_;
  std::vector<int64_t> representative_;  // per bound: a block that it holds for
  std::vector<Bound> bounds_;
  std::optional<Findings> findings_;
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

Status Sweep::screen_task(int64_t task, Screened& screened) const {
  const bool priced =
      std::ranges::any_of(targets_, [](const auto& t) { return t.scale == Scale::kPrice; });
  const int64_t first = task * kBlocksPerTask;
  const int64_t last = std::min(first + kBlocksPerTask, screen_.num_blocks());
  for (int64_t index = first; index < last; ++index) {
    DOVETAIL_TRY(const Block block, screen_.block(index));
    DOVETAIL_TRY(const BlockSummary summary, screen_.summarise(block));
    for (size_t limit = 0; limit < screened.counts.size(); ++limit) {
      screened.counts[limit] += summary.count[limit];
    }
    Unit unit{
        .block = index, .num_in_budget = summary.count[0], .min_area_mm2 = summary.min_area_mm2};
    if (unit.num_in_budget == 0) continue;
    if (priced) {
      DOVETAIL_TRY(unit.min_price_usd, least_price(block));
    }
    std::string key = costs_.bound_key(roomiest(block));
    const auto known = std::ranges::find(screened.keys, key);
    unit.bound = static_cast<size_t>(known - screened.keys.begin());
    if (known == screened.keys.end()) screened.keys.push_back(std::move(key));
    screened.units.push_back(unit);
  }
  return {};
}

// Keys are kept once for the whole space: there are far fewer of them than blocks.
void Sweep::take(Screened& screened) {
  std::vector<size_t> bounds;
  for (std::string& key : screened.keys) {
    const auto [where, is_new] = bound_of_key_.try_emplace(std::move(key), representative_.size());
    if (is_new) representative_.push_back(-1);
    bounds.push_back(where->second);
  }
  for (Unit& unit : screened.units) {
    unit.bound = bounds[unit.bound];
    if (representative_[unit.bound] < 0) representative_[unit.bound] = unit.block;
    units_.push_back(unit);
  }
  EnumerateStats& stats = outcome_.stats;
  stats.num_in_budget += screened.counts[0];
  for (size_t limit = 1; limit < screened.counts.size(); ++limit) {
    if (screened.counts[limit] == 0) continue;
    stats.rejected[std::string(limit_name(static_cast<Limit>(limit)))] += screened.counts[limit];
  }
}

Status Sweep::screen_blocks() {
  outcome_.stats.num_chips = num_chips(screen_.space());
  const int64_t num_tasks = (screen_.num_blocks() + kBlocksPerTask - 1) / kBlocksPerTask;
  for (int64_t first = 0; first < num_tasks; first += kTasksAtOnce) {
    report_progress(progress_, "screening chips",
                    static_cast<double>(first) / static_cast<double>(num_tasks));
    std::vector<Screened> screened(static_cast<size_t>(std::min(kTasksAtOnce, num_tasks - first)));
    FirstError error;
    parallel_for(std::ssize(screened), [&](int64_t task, int64_t) {
      const Status status = screen_task(first + task, screened[static_cast<size_t>(task)]);
      if (!status.has_value()) error.keep(task, status.error());
    });
    DOVETAIL_TRY_STATUS(error.status());
    for (Screened& part : screened) take(part);
  }
  bound_of_key_.clear();
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
  for (const Product& product : questions_.products()) {
    if (product.costs->can_share(chip)) continue;
    bound.impossible_by = "tensor_parallel";
    return bound;
  }
  std::vector<double> with_memory;
  for (silicon::CostTable& table : tables) table.dram_bytes = std::numeric_limits<double>::max();
  solver.bound(tables, with_memory);
  bound.impossible_by = impossible(with_memory) ? "loss" : "dram_capacity";
  return bound;
}

// One T0 table per key, not per block.
Status Sweep::bound_units() {
  bounds_.resize(representative_.size());
  outcome_.num_bounds = std::ssize(representative_);
  struct Scratch {
    std::unique_ptr<ChipSolver> solver;
    std::vector<silicon::CostTable> tables;
  };
  std::vector<Scratch> scratch(static_cast<size_t>(num_threads()));
  FirstError error;
  const AxisValues largest = largest_positions(screen_.space());
  parallel_for(std::ssize(representative_), [&](int64_t index, int64_t worker) {
    Scratch& mine = scratch[static_cast<size_t>(worker)];
    if (mine.solver == nullptr) mine.solver = questions_.make_solver();
    AxisValues position = split_index(
        screen_.lengths(), representative_[static_cast<size_t>(index)] * screen_.block_size());
    for (size_t axis = kFirstInnerAxis; axis < kNumAxes; ++axis) position[axis] = largest[axis];
    Result<Bound> bound = bound_chip(chip_of(screen_.space(), position), *mine.solver, mine.tables);
    if (bound.has_value()) {
      bounds_[static_cast<size_t>(index)] = std::move(*bound);
    } else {
      error.keep(index, bound.error());
    }
  });
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
      Incumbents local = findings_->incumbents();
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
    for (const std::vector<SolvedChip>& part : solved) {
      for (const SolvedChip& chip : part) findings_->add(chip);
    }
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

void Sweep::prepare_findings() {
  double least_area = kImpossible;
  for (const Unit& unit : units_) least_area = std::min(least_area, unit.min_area_mm2);
  const double most_area =
      screen_.budget().max_area_mm2 * static_cast<double>(most_tensor_parallel(screen_.space()));
  if (units_.empty()) least_area = most_area;
  findings_.emplace(targets_, questions_.count(), params_, least_area, most_area);
}

void Sweep::finish() {
  findings_->finish(outcome_);
  outcome_.stats.num_allocated = findings_->num_solved();
  outcome_.stats.num_pruned += outcome_.stats.num_in_budget - findings_->num_solved();
}

Result<SweepOutcome> Sweep::run() {
  const auto start = std::chrono::steady_clock::now();
  DOVETAIL_TRY_STATUS(screen_blocks());
  DOVETAIL_TRY_STATUS(bound_units());
  drop_impossible();
  prepare_findings();
  score_units();
  DOVETAIL_TRY_STATUS(walk_units());
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
