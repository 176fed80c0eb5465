// Branch and bound on the Lagrangian bound. Per node: a cutting-plane search for the best prices
// (price_master.h), a repaired and improved choice (core_search.h), then a split of one site's
// options, cheap ones from dear ones. Nodes are taken in the order of their bounds.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <queue>

#include <fmt/format.h>

#include "search/allocation.h"
#include "search/core_labels.h"
#include "search/core_problem.h"
#include "search/core_search.h"
#include "search/price_master.h"

namespace dovetail::search {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Costs are scaled so that no choice costs more than 1: a bound above that proves infeasibility.
constexpr double kImpossible = 1 + 1e-9;
constexpr double kCeiling = 1e5;    // of the artificial column; see PriceMaster::reset
constexpr double kExactGap = 1e-9;  // asked for less: rounding decides
constexpr int kMaxPriceSteps = 80;
// Options that a primal search may try. Few near ones and many lead to different ends of its greedy
// steps, so the root tries all of these and nodes take turns.
constexpr std::array<size_t, 4> kSearchOptions = {48, 96, 192, 400};
constexpr int kLabelSteps = 3;
// About 25 ns each. Small problems close in the first round, and most others in the few nodes after
// it.
constexpr int64_t kQuickLabels = 40000;
constexpr int64_t kQuickNodes = 150;
constexpr int64_t kPatientLabels = 2000000;
constexpr size_t kMaxExactOptions = 500;  // labels with two exact limits: more never come to an end
constexpr int kRootExchanges = 60;
constexpr int kNodeExchanges = 6;

struct SharedColumns {
  std::vector<PricedChoice> columns;
};

struct Node {
  double bound = 0;
  int64_t serial = 0;  // ties are broken by age, so that runs repeat
  Use prices = {};
  struct Restriction {
    int32_t site = 0;
    int32_t low = 0;
    int32_t high = 0;
  };
  std::vector<Restriction> restrictions;
  std::shared_ptr<const SharedColumns> columns;  // of the parent's optimum
};

struct LaterNode {
  bool operator()(const Node& a, const Node& b) const {
    return a.bound != b.bound ? a.bound > b.bound : a.serial > b.serial;
  }
};

struct Relaxation {
  double bound = -kInfinity;
  Use prices = {};
  std::vector<int32_t> choice;                 // at `prices`
  std::shared_ptr<const SharedColumns> basis;  // with weights below
  std::vector<double> weights;
};

class Solver {
 public:
  Solver(CoreProblem core, const AllocationParams& params)
      : core_(std::move(core)),
        gap_(std::max(params.max_gap_frac * (1 - 1e-6), kExactGap)),
        max_nodes_(params.max_nodes) {}

  void run();
  [[nodiscard]] bool found() const { return upper_ < kInfinity; }
  // Labels per site.
  [[nodiscard]] const std::vector<int32_t>& best() const { return best_; }
  // In the problem's unit. Infinity if proven infeasible.
  [[nodiscard]] double bound() const { return lower_ * core_.cost_unit; }
  [[nodiscard]] const Use& prices() const { return root_prices_; }
  [[nodiscard]] const CoreProblem& core() const { return core_; }

 private:
  [[nodiscard]] double cutoff() const { return upper_ * (1 - gap_); }
  [[nodiscard]] CoreRanges ranges_of(const Node& node) const;
  Relaxation relax(const CoreRanges& ranges, const Node& node);
  void keep_basis(const std::vector<PricedChoice>& pool, Relaxation& relaxation) const;
  void search(const CoreRanges& ranges, const Relaxation& relaxation, size_t max_options,
              int max_exchanges);
  [[nodiscard]] std::vector<int32_t> mix_columns(const Relaxation& relaxation) const;
  void walk_towards(const std::vector<int32_t>& goal, std::vector<int32_t>& at) const;
  void search_from(const CoreRanges& ranges, const Relaxation& relaxation,
                   const std::vector<int32_t>& start, size_t max_options, int max_exchanges);
  void offer(const CoreSearch& choice, const std::vector<int32_t>& start);
  void fix_options(const Relaxation& root);
  void close_by_labels(int64_t max_labels);
  LabelResult label(std::vector<int> exact, const Use& prices, int64_t max_labels);
  void branch_and_bound(int64_t max_nodes);
  void branch(const Node& node, const CoreRanges& ranges, const Relaxation& relaxation);
  void close(double bound) { closed_bound_ = std::min(closed_bound_, bound); }

  CoreProblem core_;
  double gap_;
  int64_t max_nodes_;
  double upper_ = kInfinity;
  double lower_ = 0;
  double root_bound_ = 0;            // of all that fix_options has left
  double fixed_bound_ = kInfinity;   // least bound of what fix_options removed
  double closed_bound_ = kInfinity;  // least bound of the nodes that were cut off
  std::vector<int32_t> best_;
  Use root_prices_ = {};
  int64_t num_nodes_ = 0;
  std::priority_queue<Node, std::vector<Node>, LaterNode> open_;
  PriceMaster master_;
  CoreSearch core_search_;
  std::vector<double> priced_;
};

CoreRanges Solver::ranges_of(const Node& node) const {
  CoreRanges ranges = full_ranges(core_);
  for (const Node::Restriction& r : node.restrictions) {
    ranges.low[static_cast<size_t>(r.site)] = r.low;
    ranges.high[static_cast<size_t>(r.site)] = r.high;
  }
  return ranges;
}

bool allowed(const CoreRanges& ranges, const std::vector<int32_t>& choice) {
  for (size_t s = 0; s < choice.size(); ++s) {
    if (choice[s] < ranges.low[s] || choice[s] >= ranges.high[s]) return false;
  }
  return true;
}

// The best Lagrangian bound over the ranges. Stops early once the node can be cut off.
Relaxation Solver::relax(const CoreRanges& ranges, const Node& node) {
  Relaxation result;
  std::vector<PricedChoice> pool;
  master_.reset(core_.num_limits, core_.limit, kCeiling);
  if (node.columns) {
    for (const PricedChoice& column : node.columns->columns) {
      if (!allowed(ranges, column.choice)) continue;
      pool.push_back(column);
      master_.add(column.column);
    }
  }
  PricedChoice answer;
  Use query = node.prices;
  double value = kInfinity;
  for (int step = 0; step < kMaxPriceSteps; ++step) {
    price_choice(core_, ranges, query, priced_, answer);
    if (answer.bound > result.bound) {
      result.bound = answer.bound;
      result.prices = query;
      result.choice = answer.choice;
    }
    if (result.bound >= cutoff() || result.bound > kImpossible) return result;
    pool.push_back(answer);
    master_.add(answer.column);
    master_.solve();
    value = master_.value();
    // Converged to a small part of what is left to close.
    const double reference = upper_ < kInfinity ? upper_ : value;
    if (value - result.bound <= 0.02 * gap_ * reference + 1e-11) break;
    // Far-off prices of a young master are tempered by the best ones seen.
    const double stride = step < 4 || step % 4 == 3 ? 1.0 : 0.6;
    for (size_t i = 0; i < static_cast<size_t>(core_.num_limits); ++i) {
      query[i] = result.prices[i] + stride * (master_.prices()[i] - result.prices[i]);
    }
  }
  keep_basis(pool, result);
  return result;
}

void Solver::keep_basis(const std::vector<PricedChoice>& pool, Relaxation& relaxation) const {
  auto columns = std::make_shared<SharedColumns>();
  for (const PriceMaster::Weighted& w : master_.basis()) {
    columns->columns.push_back(pool[static_cast<size_t>(w.column)]);
    relaxation.weights.push_back(w.weight);
  }
  relaxation.basis = std::move(columns);
}

// Rounds the master's mixture of columns: site by site, the column's option that keeps the uses
// closest to those of the mixture.
std::vector<int32_t> Solver::mix_columns(const Relaxation& relaxation) const {
  const std::vector<PricedChoice>& columns = relaxation.basis->columns;
  const auto num_limits = static_cast<size_t>(core_.num_limits);
  std::vector<int32_t> mixed = relaxation.choice;
  Use ahead = {};  // of the mixture
  for (size_t s = 0; s < mixed.size(); ++s) {
    Use target = {};
    for (size_t k = 0; k < columns.size(); ++k) {
      for (size_t i = 0; i < num_limits; ++i) {
        target[i] +=
            relaxation.weights[k] * core_.use[i][static_cast<size_t>(columns[k].choice[s])];
      }
    }
    double least = kInfinity;
    Use best_ahead = {};
    for (const PricedChoice& column : columns) {
      Use next = ahead;
      double distance = 0;
      for (size_t i = 0; i < num_limits; ++i) {
        next[i] += core_.use[i][static_cast<size_t>(column.choice[s])] - target[i];
        distance += next[i] * next[i];
      }
      if (distance >= least) continue;
      least = distance;
      mixed[s] = column.choice[s];
      best_ahead = next;
    }
    ahead = best_ahead;
  }
  for (const PricedChoice& column : columns) walk_towards(column.choice, mixed);
  return mixed;
}

// Walks from one choice towards another, site by site, taking every step that helps: less
// violation first, then less cost within the limits.
void Solver::walk_towards(const std::vector<int32_t>& goal, std::vector<int32_t>& at) const {
  const auto num_limits = static_cast<size_t>(core_.num_limits);
  const auto violation = [&](const Use& use) {
    double total = 0;
    for (size_t i = 0; i < num_limits; ++i) total += std::max(0.0, use[i] - core_.limit[i]);
    return total;
  };
  Use used = {};
  for (const int32_t j : at) {
    for (size_t i = 0; i < num_limits; ++i) used[i] += core_.use[i][static_cast<size_t>(j)];
  }
  double broken = violation(used);
  for (size_t s = 0; s < at.size(); ++s) {
    const auto from = static_cast<size_t>(at[s]);
    const auto to = static_cast<size_t>(goal[s]);
    if (from == to) continue;
    Use next = used;
    for (size_t i = 0; i < num_limits; ++i) next[i] += core_.use[i][to] - core_.use[i][from];
    const double next_broken = violation(next);
    if (next_broken > broken) continue;
    if (next_broken == broken && core_.cost[to] >= core_.cost[from]) continue;
    at[s] = goal[s];
    used = next;
    broken = next_broken;
  }
}

void Solver::search(const CoreRanges& ranges, const Relaxation& relaxation, size_t max_options,
                    int max_exchanges) {
  if (!relaxation.basis || relaxation.basis->columns.empty()) {
    search_from(ranges, relaxation, relaxation.choice, max_options, max_exchanges);
    return;
  }
  search_from(ranges, relaxation, mix_columns(relaxation), max_options, max_exchanges);
  for (const PricedChoice& column : relaxation.basis->columns) {
    if (upper_ < kInfinity && relaxation.bound >= cutoff()) return;
    search_from(ranges, relaxation, column.choice, max_options, max_exchanges);
  }
}

// Repairs and improves a choice with the options of least reduced cost.
void Solver::search_from(const CoreRanges& ranges, const Relaxation& relaxation,
                         const std::vector<int32_t>& start, size_t max_options, int max_exchanges) {
  struct Candidate {
    double reduced_cost;
    int32_t site;
    int32_t option;
  };
  std::vector<Candidate> candidates;
  const double most = upper_ - relaxation.bound;  // dearer options cannot lead to a better choice
  const auto num_limits = static_cast<size_t>(core_.num_limits);
  for (size_t s = 0; s < start.size(); ++s) {
    const auto priced = [&](int32_t j) {
      double value = core_.cost[static_cast<size_t>(j)];
      for (size_t i = 0; i < num_limits; ++i) {
        value += relaxation.prices[i] * core_.use[i][static_cast<size_t>(j)];
      }
      return value;
    };
    const double least = priced(relaxation.choice[s]);
    for (int32_t j = ranges.low[s]; j < ranges.high[s]; ++j) {
      const double reduced_cost = j == start[s] ? -1.0 : std::max(0.0, priced(j) - least);
      if (reduced_cost < most) candidates.push_back({reduced_cost, static_cast<int32_t>(s), j});
    }
  }
  // The chosen options come first.
  const size_t keep = std::min(candidates.size(), start.size() + max_options);
  std::nth_element(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(keep),
                   candidates.end(), [](const Candidate& a, const Candidate& b) {
                     return a.reduced_cost != b.reduced_cost ? a.reduced_cost < b.reduced_cost
                                                             : a.option < b.option;
                   });
  candidates.resize(keep);

  core_search_.reset(core_.num_sites(), 0, {}, core_.limit);
  for (const Candidate& c : candidates) {
    CoreOption option{.site = c.site,
                      .label = c.option,
                      .cost = core_.cost[static_cast<size_t>(c.option)],
                      .reduced_cost = std::max(0.0, c.reduced_cost),
                      .use = {}};
    for (size_t i = 0; i < num_limits; ++i) {
      option.use[i] = core_.use[i][static_cast<size_t>(c.option)];
    }
    core_search_.add(option, c.option == start[static_cast<size_t>(c.site)]);
  }
  if (!core_search_.repair()) return;
  core_search_.improve(relaxation.bound / (1 - gap_), max_exchanges);
  offer(core_search_, start);
}

void Solver::offer(const CoreSearch& choice, const std::vector<int32_t>& start) {
  if (choice.cost() >= upper_) return;
  upper_ = choice.cost();
  best_.assign(start.size(), 0);
  choice.visit_choice([&](const CoreOption& option) {
    best_[static_cast<size_t>(option.site)] = core_.label[static_cast<size_t>(option.label)];
  });
}

// Removes every option whose reduced cost alone lifts the bound to the cutoff.
void Solver::fix_options(const Relaxation& root) {
  std::vector<uint8_t> keep(core_.cost.size(), 1);
  for (size_t s = 0; s < root.choice.size(); ++s) {
    const auto priced = [&](int32_t j) {
      double value = core_.cost[static_cast<size_t>(j)];
      for (size_t i = 0; i < static_cast<size_t>(core_.num_limits); ++i) {
        value += root.prices[i] * core_.use[i][static_cast<size_t>(j)];
      }
      return value;
    };
    const double least = priced(root.choice[s]);
    for (int32_t j = core_.begin[s]; j < core_.begin[s + 1]; ++j) {
      const double bound = root.bound + priced(j) - least;
      if (bound < cutoff()) continue;
      keep[static_cast<size_t>(j)] = 0;
      fixed_bound_ = std::min(fixed_bound_, bound);
    }
  }
  core_ = shrink_core(core_, keep);
}

// Splits the site on which the relaxation's columns disagree most, at its mean cost.
void Solver::branch(const Node& node, const CoreRanges& ranges, const Relaxation& relaxation) {
  double widest = 0;
  int32_t site = -1;
  int32_t split = 0;
  const std::vector<PricedChoice>& columns = relaxation.basis->columns;
  for (size_t s = 0; s < ranges.low.size(); ++s) {
    double weight = 0;
    double mean = 0;
    for (size_t k = 0; k < columns.size(); ++k) {
      weight += relaxation.weights[k];
      mean += relaxation.weights[k] * core_.cost[static_cast<size_t>(columns[k].choice[s])];
    }
    if (weight <= 0) break;
    mean /= weight;
    double spread = 0;
    for (size_t k = 0; k < columns.size(); ++k) {
      const double cost = core_.cost[static_cast<size_t>(columns[k].choice[s])];
      spread += relaxation.weights[k] * std::abs(cost - mean);
    }
    if (spread <= widest) continue;
    const auto first = core_.cost.begin() + ranges.low[s];
    const auto last = core_.cost.begin() + ranges.high[s];
    const auto position =
        static_cast<int32_t>(std::upper_bound(first, last, mean) - core_.cost.begin());
    if (position <= ranges.low[s] || position >= ranges.high[s]) continue;
    widest = spread;
    site = static_cast<int32_t>(s);
    split = position;
  }
  // The columns agree in cost (or none has weight): split the site with most options in the middle.
  if (site < 0) {
    int32_t most = 1;
    for (size_t s = 0; s < ranges.low.size(); ++s) {
      if (ranges.high[s] - ranges.low[s] <= most) continue;
      most = ranges.high[s] - ranges.low[s];
      site = static_cast<int32_t>(s);
      split = ranges.low[s] + most / 2;
    }
  }
  if (site < 0) return;  // one choice is left, and the search has seen it
  for (const bool cheap : {true, false}) {
    Node child{.bound = std::max(node.bound, relaxation.bound),
               .serial = ++num_nodes_,
               .prices = relaxation.prices,
               .restrictions = node.restrictions,
               .columns = relaxation.basis};
    const auto s = static_cast<size_t>(site);
    child.restrictions.push_back(
        {site, cheap ? ranges.low[s] : split, cheap ? split : ranges.high[s]});
    open_.push(std::move(child));
  }
}

void Solver::run() {
  Node root;
  for (size_t i = 0; i < static_cast<size_t>(core_.num_limits); ++i) root.prices[i] = 0.1;
  CoreRanges ranges = full_ranges(core_);
  Relaxation relaxation = relax(ranges, root);
  root_prices_ = relaxation.prices;
  if (relaxation.bound > kImpossible) {
    lower_ = kInfinity;
    return;
  }
  for (const size_t max_options : kSearchOptions) {
    if (relaxation.bound < cutoff()) search(ranges, relaxation, max_options, kRootExchanges);
  }
  if (!found()) search(ranges, relaxation, core_.cost.size(), kRootExchanges);
  lower_ = std::min(relaxation.bound, upper_);
  if (relaxation.bound >= cutoff()) return;

  lower_ = 0;
  root_bound_ = relaxation.bound;
  if (found()) {
    fix_options(relaxation);
    close_by_labels(kQuickLabels);
  }
  open_.push(
      {.bound = relaxation.bound, .prices = relaxation.prices, .restrictions = {}, .columns = {}});
  branch_and_bound(std::min(max_nodes_, kQuickNodes));
  if (found()) close_by_labels(kPatientLabels);
  branch_and_bound(max_nodes_);
  lower_ = std::min(fixed_bound_, root_bound_);
  if (found()) lower_ = std::min(lower_, upper_);
}

// Goes on until the gap is closed or there have been `max_nodes` nodes.
void Solver::branch_and_bound(int64_t max_nodes) {
  while (!open_.empty() && num_nodes_ < max_nodes && open_.top().bound < cutoff() &&
         root_bound_ < cutoff()) {
    const Node node = open_.top();
    open_.pop();
    const CoreRanges ranges = ranges_of(node);
    const Relaxation relaxation = relax(ranges, node);
    if (relaxation.bound > kImpossible) continue;
    if (relaxation.bound < cutoff()) {
      const size_t turn = static_cast<size_t>(node.serial) % (kSearchOptions.size() - 1);
      search(ranges, relaxation, kSearchOptions[turn], kNodeExchanges);
    }
    if (relaxation.bound >= cutoff()) {
      close(relaxation.bound);
    } else {
      branch(node, ranges, relaxation);
    }
  }
  const double open_bound = open_.empty() ? kInfinity : open_.top().bound;
  root_bound_ = std::max(root_bound_, std::min(closed_bound_, open_bound));
}

// Labels with SRAM kept exactly and the rest priced, at a few prices of loss; then with both kept.
void Solver::close_by_labels(int64_t max_labels) {
  int sram = -1;
  std::vector<int> both;
  for (int i = 0; i < core_.num_limits; ++i) {
    const int kind = core_.limit_kind[static_cast<size_t>(i)];
    if (kind == 1) sram = i;
    if (kind != 2) both.push_back(i);
  }
  if (sram < 0) return;
  if (core_.num_limits > 1) {
    Use prices = root_prices_;
    for (int step = 0; step < kLabelSteps && root_bound_ < cutoff(); ++step) {
      const LabelResult labels = label({sram}, prices, max_labels);
      if (labels.least.empty()) break;
      for (size_t i = 0; i < static_cast<size_t>(core_.num_limits); ++i) {
        if (static_cast<int>(i) == sram) continue;
        double use = 0;
        for (const int32_t j : labels.least) use += core_.use[i][static_cast<size_t>(j)];
        prices[i] *= use > core_.limit[i] ? 1.1 : 0.92;
      }
    }
  }
  if (root_bound_ < cutoff() && core_.cost.size() <= kMaxExactOptions) {
    label(both, root_prices_, max_labels);
  }
}

LabelResult Solver::label(std::vector<int> exact, const Use& prices, int64_t max_labels) {
  const double tolerance = 0.3 * gap_ * upper_;
  LabelResult labels = set_labels(core_, {.exact = std::move(exact),
                                          .prices = prices,
                                          .cutoff = cutoff() + tolerance,
                                          .tolerance = tolerance,
                                          .max_labels = max_labels});
  if (!labels.complete) return labels;
  root_bound_ = std::max(root_bound_, labels.bound);
  if (!labels.least.empty()) {
    Relaxation relaxation;
    relaxation.bound = root_bound_;
    relaxation.prices = root_prices_;
    const CoreRanges ranges = full_ranges(core_);
    PricedChoice cheapest;
    price_choice(core_, ranges, root_prices_, priced_, cheapest);
    relaxation.choice = cheapest.choice;
    for (const std::vector<int32_t>& choice : {labels.feasible, labels.least}) {
      if (choice.empty()) continue;
      search_from(ranges, relaxation, choice, kSearchOptions[1], kNodeExchanges);
    }
  }
  return labels;
}

Allocation infeasible(std::string binding) {
  Allocation result;
  result.status = AllocationStatus::kInfeasible;
  result.bound = kInfinity;
  result.binding = std::move(binding);
  return result;
}

Allocation describe(const AllocationProblem& problem, const Solver& solver) {
  Allocation result;
  result.status = AllocationStatus::kSolved;
  result.choice = solver.best();
  for (size_t s = 0; s < result.choice.size(); ++s) {
    const auto j = static_cast<size_t>(problem.option_begin[s] + result.choice[s]);
    result.cost += problem.cost[j];
    result.loss += problem.loss[j];
    result.sram_bytes += problem.sram_bytes[j];
    result.dram_bytes += problem.dram_bytes[j];
  }
  result.bound = std::min(solver.bound(), result.cost);
  result.gap_frac = result.cost > 0 ? std::max(0.0, (result.cost - result.bound) / result.cost) : 0;
  const CoreProblem& core = solver.core();
  for (size_t i = 0; i < static_cast<size_t>(core.num_limits); ++i) {
    const double price = solver.prices()[i] * core.cost_unit / core.limit_unit[i];
    if (core.limit_kind[i] == 0) result.loss_price = price;
    if (core.limit_kind[i] == 1) result.sram_price = price;
    if (core.limit_kind[i] == 2) result.dram_price = price;
  }
  return result;
}

}  // namespace

Result<Allocation> solve_allocation(const AllocationProblem& problem,
                                    const AllocationParams& params) {
  DOVETAIL_TRY_STATUS(check(problem));
  if (!(params.max_gap_frac >= 0 && params.max_gap_frac < 1)) {
    return invalid_argument(fmt::format("max_gap_frac = {}, want 0..1", params.max_gap_frac));
  }
  std::string impossible = impossible_limit(problem);
  if (!impossible.empty()) return infeasible(std::move(impossible));
  CoreProblem core = make_core(problem);
  if (core.begin.empty()) return infeasible("together");
  Solver solver(std::move(core), params);
  solver.run();
  if (solver.found()) return describe(problem, solver);
  if (std::isinf(solver.bound())) return infeasible("together");
  return std::unexpected(
      Error{ErrorCode::kUnavailable,
            fmt::format("max_nodes = {}: too few to find a choice or to prove that there is none",
                        params.max_nodes)});
}

}  // namespace dovetail::search
