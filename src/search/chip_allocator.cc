#include "search/chip_allocator.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "search/chip_pricing.h"
#include "search/core_search.h"
#include "search/price_master.h"

namespace dovetail::search {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kCeiling = 1e4;  // of the artificial column, in units of the dearest choice seen
constexpr int kMaxPriceSteps = 40;
constexpr double kDualGap = 5e-4;  // where the search for prices stops
constexpr double kGoodGap = 2e-3;  // where the search for a choice stops
// What the search for a choice may try. The second time if the first has not come close.
struct Effort {
  double distance = 0;     // reduced cost of options, of a site's mean cost
  size_t max_options = 0;  // the nearest ones
  int max_exchanges = 0;
};
constexpr Effort kFirstEffort = {4.5e-3, 96, 6};
constexpr Effort kSecondEffort = {0.5, 400, 16};
constexpr double kRetryGap = 6e-3;
// Beyond this, or without any answer, the exact solver is asked: rare, so that its milliseconds do
// not count.
constexpr double kSlowGap = 2e-2;
constexpr int64_t kSlowNodes = 60;
constexpr double kLeastCap = 1e-15;  // nats: a cap of 0 needs a unit to be scaled with
// Where the search for prices starts: what halving every loss costs when cost is proportional to
// bits and loss to 4^-bits, at 5 bits.
constexpr double kFirstLossPrice = 0.14;

struct Column {
  ChipChoice choice;
  ChipSums sums;
};

}  // namespace

struct ChipAllocator::Impl {
  Impl(const LossTable& losses_in, const ResidencyLevels& levels_in, std::vector<double> caps_in)
      : losses(losses_in), levels(levels_in), caps(std::move(caps_in)), pricing(losses, levels) {}

  void load(const silicon::CostTable& table_in, Metric metric_in);
  // Finds prices and bound for one cap. False: proven impossible.
  bool find_prices(double cap);
  void query(const Use& prices);
  void set_units(double cap);
  [[nodiscard]] ChipPrices unscaled(const Use& at) const;
  [[nodiscard]] Use scaled_use(const ChipSums& sums) const;
  void allocate(double cap, ChipAllocation& result);
  [[nodiscard]] double violation(const ChipSums& sums) const;
  void walk_towards(const Column& goal, Column& at) const;
  [[nodiscard]] Column mix_columns(const std::vector<PriceMaster::Weighted>& basis) const;
  [[nodiscard]] Column round_columns() const;
  void search_from(const Column& start, const Effort& effort, ChipAllocation& result);
  void add_options(const Column& start, const Effort& effort);
  void report(const Column& start, ChipAllocation& result) const;
  void solve_slowly(double cap, ChipAllocation& result) const;

  LossTable losses;
  ResidencyLevels levels;
  std::vector<double> caps;
  ChipPricing pricing;
  PriceMaster master;
  CoreSearch core;

  // Of the loaded chip:
  const silicon::CostTable* table = nullptr;
  Metric metric = Metric::kLatency;
  double sram_limit = 0;
  double dram_limit = 0;
  bool use_sram = false;
  bool use_dram = false;
  double cost_unit = 1;
  std::vector<Column> columns;  // of all caps so far: what they cost and use no cap changes
  size_t num_columns = 0;

  // Of the cap:
  double max_loss = 0;
  Use unit = {1, 1, 1};  // what 1 stands for: loss, then SRAM, then DRAM as used
  Use per_unit = {1, 1, 1};
  int num_limits = 1;
  Use prices = {};       // best ones, scaled
  double bound = 0;      // scaled
  Use last_prices = {};  // where the next cap starts, in cost per unit of use
  bool have_last_prices = false;

  struct Chosen {
    int32_t site;
    int32_t treatment;
    double share;
  };
  Column cheapest;            // at the best prices
  std::vector<Chosen> names;  // of the core's options
  std::vector<NearOption> near;
  struct Candidate {
    double distance;
    Chosen chosen;
  };
  std::vector<Candidate> candidates;
  std::vector<int32_t> core_site;  // of a site, -1 outside the core
};

void ChipAllocator::Impl::load(const silicon::CostTable& table_in, Metric metric_in) {
  table = &table_in;
  metric = metric_in;
  pricing.load(table_in, metric_in);
  sram_limit = std::max(0.0, table_in.sram_bytes);
  dram_limit = std::max(0.0, table_in.dram_bytes - table_in.fixed_dram_bytes);
  use_sram = pricing.residency();
  use_dram = pricing.executable() && pricing.max_dram_use() > dram_limit;
  num_columns = 0;
  have_last_prices = false;
}

Use ChipAllocator::Impl::scaled_use(const ChipSums& sums) const {
  Use use = {sums.loss * per_unit[0], 0, 0};
  size_t i = 1;
  if (use_sram) use[i] = sums.sram_bytes * per_unit[i], ++i;
  if (use_dram) use[i] = sums.dram_bytes * per_unit[i], ++i;
  return use;
}

void ChipAllocator::Impl::set_units(double cap) {
  max_loss = cap;
  unit = {std::max(cap, kLeastCap), 1, 1};
  num_limits = 1;
  if (use_sram) unit[static_cast<size_t>(num_limits++)] = sram_limit;
  if (use_dram) unit[static_cast<size_t>(num_limits++)] = std::max(dram_limit, 1.0);
  for (size_t i = 0; i < kMaxLimits; ++i) per_unit[i] = 1 / unit[i];
}

ChipPrices ChipAllocator::Impl::unscaled(const Use& at) const {
  ChipPrices result{.loss = at[0] * cost_unit * per_unit[0], .sram = 0, .dram = 0};
  size_t i = 1;
  if (use_sram) result.sram = at[i] * cost_unit * per_unit[i], ++i;
  if (use_dram) result.dram = at[i] * cost_unit * per_unit[i], ++i;
  return result;
}

// Asks for the choice at scaled prices, keeps it as a column and improves the bound.
void ChipAllocator::Impl::query(const Use& at) {
  if (num_columns == columns.size()) columns.emplace_back();
  Column& column = columns[num_columns++];
  const double priced = pricing.price(unscaled(at), column.choice, column.sums) / cost_unit;
  const Use use = scaled_use(column.sums);
  double value = column.sums.cost / cost_unit - ChipPricing::kRounding * priced;
  for (size_t l = 0; l < static_cast<size_t>(num_limits); ++l) {
    const double limit = l == 0 ? max_loss / unit[0] : 1.0;
    value += at[l] * (use[l] - limit);
  }
  master.add({.cost = column.sums.cost / cost_unit, .use = use});
  if (value > bound) {
    bound = value;
    prices = at;
  }
}

bool ChipAllocator::Impl::find_prices(double cap) {
  set_units(cap);
  Use limit = {max_loss / unit[0], 1, 1};
  bound = 0;
  prices = {};
  if (num_columns == 0) {
    // Nearly the least loss, all streamed: keeps the limits if anything does, DRAM apart.
    cost_unit = 1;
    columns.resize(std::max<size_t>(columns.size(), 1));
    num_columns = 1;
    Column& safe = columns[0];
    pricing.price({.loss = 1e20, .sram = 1e20, .dram = 0}, safe.choice, safe.sums);
    cost_unit = std::max(safe.sums.cost, 1e-30);
  }
  const ChipSums& safe = columns[0].sums;
  if (safe.loss > cap * (1 - 1e-6) && pricing.least_loss() > cap * (1 + 1e-12)) return false;

  master.reset(num_limits, limit, kCeiling);
  for (size_t k = 0; k < num_columns; ++k) {
    master.add({.cost = columns[k].sums.cost / cost_unit, .use = scaled_use(columns[k].sums)});
  }
  Use at = {kFirstLossPrice, 0.05, 0};
  for (size_t i = 0; have_last_prices && i < static_cast<size_t>(num_limits); ++i) {
    at[i] = last_prices[i] * (i == 0 ? 1.0 : unit[i]) / cost_unit;
  }
  for (int step = 0; step < kMaxPriceSteps; ++step) {
    query(at);
    if (bound > kCeiling / 10) return false;  // above what any choice costs
    master.solve();
    if (master.value() - bound <= kDualGap * master.value()) break;
    const double stride = step < 3 || step % 4 == 3 ? 1.0 : 0.7;
    for (size_t i = 0; i < static_cast<size_t>(num_limits); ++i) {
      at[i] = prices[i] + stride * (master.prices()[i] - prices[i]);
    }
  }
  for (size_t i = 0; i < static_cast<size_t>(num_limits); ++i) {
    last_prices[i] = prices[i] * cost_unit / (i == 0 ? 1.0 : unit[i]);
  }
  have_last_prices = true;
  return true;
}

// How far a choice is beyond its limits, scaled.
double ChipAllocator::Impl::violation(const ChipSums& sums) const {
  const Use use = scaled_use(sums);
  double total = std::max(0.0, use[0] - max_loss / unit[0]);
  for (size_t i = 1; i < static_cast<size_t>(num_limits); ++i) total += std::max(0.0, use[i] - 1);
  return total;
}

// Walks from one choice towards another, site by site, taking every step that helps: less
// violation first, then less cost within the limits.
void ChipAllocator::Impl::walk_towards(const Column& goal, Column& at) const {
  double broken = violation(at.sums);
  for (size_t s = 0; s < at.choice.size(); ++s) {
    if (at.choice[s] == goal.choice[s]) continue;
    const auto site = static_cast<int32_t>(s);
    const ChipSums from = pricing.sums_of(site, at.choice[s]);
    const ChipSums to = pricing.sums_of(site, goal.choice[s]);
    const ChipSums next = {.cost = at.sums.cost + to.cost - from.cost,
                           .loss = at.sums.loss + to.loss - from.loss,
                           .sram_bytes = at.sums.sram_bytes + to.sram_bytes - from.sram_bytes,
                           .dram_bytes = at.sums.dram_bytes + to.dram_bytes - from.dram_bytes};
    const double next_broken = violation(next);
    if (next_broken > broken || (next_broken == broken && next.cost >= at.sums.cost)) continue;
    at.choice[s] = goal.choice[s];
    at.sums = next;
    broken = next_broken;
  }
}

// Rounds the master's mixture of columns: site by site, the column's option that keeps the sums
// closest to those of the mixture. Options of these columns differ little in priced cost, so that
// what counts is to meet the limits.
Column ChipAllocator::Impl::mix_columns(const std::vector<PriceMaster::Weighted>& basis) const {
  Column mixed = columns[static_cast<size_t>(basis[0].column)];
  mixed.sums = {};
  Use ahead = {};  // of the mixture's sums, scaled
  for (size_t s = 0; s < mixed.choice.size(); ++s) {
    const auto site = static_cast<int32_t>(s);
    Use target = {};
    for (const PriceMaster::Weighted& w : basis) {
      const int32_t code = columns[static_cast<size_t>(w.column)].choice[s];
      const Use use = scaled_use(pricing.sums_of(site, code));
      for (size_t i = 0; i < kMaxLimits; ++i) target[i] += w.weight * use[i];
    }
    double least = kInfinity;
    Use best_ahead = {};
    for (const PriceMaster::Weighted& w : basis) {
      const int32_t code = columns[static_cast<size_t>(w.column)].choice[s];
      if (least < kInfinity && code == mixed.choice[s]) continue;
      const Use use = scaled_use(pricing.sums_of(site, code));
      Use next = ahead;
      double distance = 0;
      for (size_t i = 0; i < kMaxLimits; ++i) {
        next[i] += use[i] - target[i];
        distance += next[i] * next[i];
      }
      if (distance >= least) continue;
      least = distance;
      mixed.choice[s] = code;
      best_ahead = next;
    }
    ahead = best_ahead;
  }
  pricing.add_up(mixed.choice, mixed.sums);
  return mixed;
}

// A choice between the columns that the prices rest on. The safe column comes in if they alone do
// not lead inside the limits.
Column ChipAllocator::Impl::round_columns() const {
  std::vector<PriceMaster::Weighted> basis = master.basis();
  if (basis.empty()) return columns[0];
  std::sort(basis.begin(), basis.end(), [](const auto& a, const auto& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.column < b.column;
  });
  Column at = mix_columns(basis);
  for (const PriceMaster::Weighted& w : basis) {
    walk_towards(columns[static_cast<size_t>(w.column)], at);
  }
  return at;
}

// The options of least reduced cost, and the start's own where a site has any of them.
void ChipAllocator::Impl::add_options(const Column& start, const Effort& effort) {
  candidates.clear();
  const double distance = effort.distance * cost_unit / static_cast<double>(pricing.num_sites());
  for (const NearOption& option : near) {
    const double largest = pricing.largest_share(option.site, option.treatment);
    const int32_t own = start.choice[static_cast<size_t>(option.site)];
    for (const double share : pricing.shares(option.site)) {
      if (share > largest) break;
      const bool is_own = own / 2 == option.treatment && share == (own % 2 == 1 ? largest : 0);
      if (is_own) continue;
      const double along = largest > 0 ? share / largest : 0;
      const double reduced =
          option.streamed_distance + along * (option.resident_distance - option.streamed_distance);
      if (reduced <= distance)
        candidates.push_back({reduced, {option.site, option.treatment, share}});
      if (!use_sram) break;
    }
  }
  const auto order = [](const Candidate& a, const Candidate& b) {
    if (a.distance != b.distance) return a.distance < b.distance;
    if (a.chosen.site != b.chosen.site) return a.chosen.site < b.chosen.site;
    if (a.chosen.treatment != b.chosen.treatment) return a.chosen.treatment < b.chosen.treatment;
    return a.chosen.share < b.chosen.share;
  };
  if (candidates.size() > effort.max_options) {
    std::nth_element(candidates.begin(),
                     candidates.begin() + static_cast<ptrdiff_t>(effort.max_options),
                     candidates.end(), order);
    candidates.resize(effort.max_options);
  }
}

// Improves the start among the nearest options; keeps the better of that and `result`. Leaves
// `result` alone if the start cannot be brought inside the limits.
void ChipAllocator::Impl::search_from(const Column& start, const Effort& effort,
                                      ChipAllocation& result) {
  add_options(start, effort);
  core_site.assign(static_cast<size_t>(pricing.num_sites()), -1);
  int32_t num_core_sites = 0;
  for (const Candidate& c : candidates) {
    int32_t& index = core_site[static_cast<size_t>(c.chosen.site)];
    if (index < 0) index = num_core_sites++;
  }
  // What lies outside the core stays as it is: the start's sums less its core sites.
  ChipSums rest = start.sums;
  names.clear();
  const auto add = [&](const Chosen& chosen, double reduced_cost, bool is_start) {
    const ChipSums sums = pricing.sums_at(chosen.site, chosen.treatment, chosen.share);
    core.add({.site = core_site[static_cast<size_t>(chosen.site)],
              .label = static_cast<int32_t>(names.size()),
              .cost = sums.cost / cost_unit,
              .reduced_cost = reduced_cost / cost_unit,
              .use = scaled_use(sums)},
             is_start);
    names.push_back(chosen);
  };
  const auto own = [&](int32_t site) {
    const int32_t code = start.choice[static_cast<size_t>(site)];
    return Chosen{site, code / 2, code % 2 == 1 ? pricing.largest_share(site, code / 2) : 0.0};
  };
  for (int32_t site = 0; site < static_cast<int32_t>(core_site.size()); ++site) {
    if (core_site[static_cast<size_t>(site)] < 0) continue;
    const Chosen chosen = own(site);
    const ChipSums sums = pricing.sums_at(site, chosen.treatment, chosen.share);
    rest.cost -= sums.cost;
    rest.loss -= sums.loss;
    rest.sram_bytes -= sums.sram_bytes;
    rest.dram_bytes -= sums.dram_bytes;
  }
  core.reset(num_core_sites, rest.cost / cost_unit, scaled_use(rest), {max_loss / unit[0], 1, 1});
  for (int32_t site = 0; site < static_cast<int32_t>(core_site.size()); ++site) {
    if (core_site[static_cast<size_t>(site)] >= 0) add(own(site), 0, true);
  }
  for (const Candidate& c : candidates) add(c.chosen, c.distance, false);
  if (!core.repair()) return;
  core.improve(bound * (1 + kGoodGap), effort.max_exchanges);
  if (!result.feasible || core.cost() * cost_unit < result.cost) report(start, result);
}

// The start with the core's choices, added up from nothing in site order.
void ChipAllocator::Impl::report(const Column& start, ChipAllocation& result) const {
  const auto num_sites = static_cast<size_t>(pricing.num_sites());
  result.treatments.resize(num_sites);
  result.resident_frac.resize(num_sites);
  std::vector<double> share(num_sites);
  for (size_t s = 0; s < num_sites; ++s) {
    const int32_t code = start.choice[s];
    result.treatments[s] = code / 2;
    share[s] = code % 2 == 1 ? pricing.largest_share(static_cast<int32_t>(s), code / 2) : 0.0;
  }
  core.visit_choice([&](const CoreOption& option) {
    const Chosen& chosen = names[static_cast<size_t>(option.label)];
    result.treatments[static_cast<size_t>(chosen.site)] = chosen.treatment;
    share[static_cast<size_t>(chosen.site)] = chosen.share;
  });
  ChipSums total;
  for (size_t s = 0; s < num_sites; ++s) {
    const ChipSums sums = pricing.sums_at(static_cast<int32_t>(s), result.treatments[s], share[s]);
    total.cost += sums.cost;
    total.loss += sums.loss;
    total.sram_bytes += sums.sram_bytes;
    total.dram_bytes += sums.dram_bytes;
    result.resident_frac[s] = static_cast<float>(share[s]);
  }
  result.feasible = true;
  result.cost = total.cost;
  result.loss = total.loss;
  result.sram_bytes = total.sram_bytes;
  result.dram_bytes = total.dram_bytes;
}

// Keeps the better of `result` and what the exact solver finds.
void ChipAllocator::Impl::solve_slowly(double cap, ChipAllocation& result) const {
  const Result<ChipProblem> problem = make_problem(*table, metric, losses, levels, cap);
  if (!problem.has_value()) {
    if (!result.feasible) result.bound = kInfinity;
    return;
  }
  AllocationParams params{.max_gap_frac = kRetryGap, .max_nodes = kSlowNodes};
  Result<Allocation> solved = solve_allocation(problem->problem, params);
  if (!solved.has_value() && !result.feasible) {
    solved = solve_allocation(problem->problem, {.max_gap_frac = kRetryGap});
  }
  if (!solved.has_value()) return;  // neither found nor refuted within the default nodes
  const double known_bound = solved->bound;
  if (!result.feasible || solved->cost < result.cost)
    result = to_chip_allocation(*problem, *solved);
  result.bound = known_bound;
}

void ChipAllocator::Impl::allocate(double cap, ChipAllocation& result) {
  result.feasible = false;
  result.bound = 0;
  if (!pricing.executable() || !find_prices(cap)) {
    result = {};
    result.bound = kInfinity;
    return;
  }
  const ChipPrices best_prices = unscaled(prices);
  pricing.price(best_prices, cheapest.choice, cheapest.sums);
  const Column start = round_columns();
  const double site_cost = cost_unit / static_cast<double>(pricing.num_sites());
  if (violation(start.sums) <= 0 && start.sums.cost <= bound * cost_unit * (1 + kGoodGap)) {
    core.reset(0, 0, {}, {});
    report(start, result);
  }
  for (const Effort& effort : {kFirstEffort, kSecondEffort}) {
    if (result.feasible && result.cost <= bound * cost_unit * (1 + kGoodGap)) break;
    pricing.near_options(effort.distance * site_cost, cheapest.choice, near);
    search_from(start, effort, result);
    if (result.feasible && result.cost <= bound * cost_unit * (1 + kRetryGap)) break;
  }
  if (!result.feasible) {
    Column safe = columns[0];
    for (const PriceMaster::Weighted& w : master.basis()) {
      walk_towards(columns[static_cast<size_t>(w.column)], safe);
    }
    search_from(safe, kSecondEffort, result);
  }
  if (!result.feasible || result.cost > bound * cost_unit * (1 + kSlowGap)) {
    solve_slowly(cap, result);
    if (!result.feasible) return;
  }
  result.bound = std::min(std::max(result.bound, bound * cost_unit), result.cost);
  result.loss_price = best_prices.loss;
  result.sram_price = best_prices.sram;
}

ChipAllocator::ChipAllocator(const LossTable& losses, const ResidencyLevels& levels,
                             std::vector<double> caps)
    : impl_(std::make_unique<Impl>(losses, levels, std::move(caps))) {}
ChipAllocator::ChipAllocator(ChipAllocator&&) noexcept = default;
ChipAllocator& ChipAllocator::operator=(ChipAllocator&&) noexcept = default;
ChipAllocator::~ChipAllocator() = default;

void ChipAllocator::allocate(const silicon::CostTable& table, Metric metric,
                             std::vector<ChipAllocation>& results) {
  impl_->load(table, metric);
  results.resize(impl_->caps.size());
  for (size_t i = 0; i < results.size(); ++i) impl_->allocate(impl_->caps[i], results[i]);
}

double ChipAllocator::bound(const silicon::CostTable& table, Metric metric, double cap) {
  impl_->load(table, metric);
  if (!impl_->pricing.executable() || !impl_->find_prices(cap)) return kInfinity;
  return impl_->bound * impl_->cost_unit;
}

}  // namespace dovetail::search
