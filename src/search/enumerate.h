// Search over all chips of a space: which chip and which recipe are best together.
//
// Chips outside the budget are cut first. A chip whose T0 bound (allocation with T0 costs, never
// above the true cost) cannot improve any scenario nor the front at any loss cap is skipped; the
// rest get their T1 table and an allocation. The answer is exact for T1 up to the allocation gap,
// which is closed and stated for every reported point; a test compares with no pruning. Spaces too
// large for that go to NSGA-II (evolve.h), and the answer says how far from a bound it is at most.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "search/allocation.h"
#include "search/loss_table.h"
#include "search/method.h"
#include "search/space.h"
#include "silicon/cost_table.h"

namespace dovetail::search {

enum class Metric : uint8_t { kLatency, kEnergy };    // of one request batch: ns, pJ
enum class Scale : uint8_t { kNone, kArea, kPrice };  // what the metric is multiplied with

// "latency", "latency_area" (the inverse of tokens/s/mm2 up to a constant), "latency_price",
// "energy", "energy_area". Errors: kInvalidArgument with the nearest name.
struct Objective {
  Metric metric = Metric::kLatency;
  Scale scale = Scale::kNone;
  bool operator==(const Objective&) const = default;
};
[[nodiscard]] Result<Objective> parse_objective(const std::string& name);
[[nodiscard]] std::string objective_name(const Objective& objective);

// One model with its workload on the chip. The objective sums weight * metric over products; each
// product must keep its own loss below the scenario's cap.
struct Product {
  std::string name;
  const silicon::CostModel* costs = nullptr;
  LossTable losses;
  double weight = 1.0;
};

struct Scenario {
  Objective objective;
  double max_loss = 0;  // predicted, nats per token
};

// A design point.
struct Candidate {
  int64_t chip_index = -1;  // in the space, -1 for a chip from a file
  chip::Chip chip;
  silicon::ChipLimits limits;
  std::vector<Allocation> allocations;            // per product, closed to the stated gap
  std::vector<std::vector<int32_t>> treatments;   // per product: menu index per site
  std::vector<std::vector<float>> resident_frac;  // per product and site: share kept in SRAM
  double metric = 0;                              // ns or pJ, weighted over products
  double objective = 0;                           // metric times area, price or 1
  double gap_frac = 0;
};

struct FrontEntry {
  double max_loss = 0;
  Metric metric_kind = Metric::kLatency;
  // No other chip has both less area and a smaller metric at this cap, on a grid of ratio
  // 1 + front_epsilon_frac: every chip has an entry within that of it in both.
  Candidate candidate;
};

struct ScenarioResult {
  Scenario scenario;
  bool feasible = false;
  Candidate best;
  std::vector<Candidate> runners_up;  // the next best chips, at most top_k
};

struct EnumerateStats {
  int64_t num_chips = 0;                    // in the space
  std::map<std::string, int64_t> rejected;  // by limit: "area", "peak_power", "dram_capacity", ...
  int64_t num_in_budget = 0;
  int64_t num_pruned = 0;     // by bounds alone
  int64_t num_allocated = 0;  // with a T1 table and an allocation
  double seconds = 0;         // wall time (not part of any canonical export)
  // Every chip was searched or ruled out by a bound. If not: by NSGA-II, and the counts above are
  // of the chips that were looked at.
  bool exact = true;
  int64_t evaluations = 0;     // chips priced, those of the coarse grid among them
  std::vector<int64_t> seeds;  // of the random choices
  // No chip of the space is better than a reported best by more than this share of it.
  double bound_gap_frac = 0;
};

struct EnumerateResult {
  std::vector<ScenarioResult> scenarios;
  std::vector<FrontEntry> front;
  EnumerateStats stats;
  // If a scenario has no feasible chip: the limit that killed most candidates and the nearest
  // feasible point (least loss reachable, or the chip that misses a limit by least), in words.
  std::string infeasible_reason;
};

struct EnumerateParams {
  bool prune = true;
  int64_t top_k = 32;
  double front_epsilon_frac = 0.01;  // grid of the front; 0.0001..1
  bool keep_front = true;
  double max_gap_frac = 1e-3;  // for reported points
  Method method = {};
};

[[nodiscard]] Result<EnumerateResult> enumerate(const std::vector<Product>& products,
                                                const Space& space, const Budget& budget,
                                                const std::vector<Scenario>& scenarios,
                                                const EnumerateParams& params,
                                                const ProgressSink& progress);

// The best recipe on one given chip, per scenario (a frozen chip; also after a cap has moved).
[[nodiscard]] Result<Candidate> solve_on_chip(const std::vector<Product>& products,
                                              const chip::Chip& chip, const Scenario& scenario,
                                              double max_gap_frac);

}  // namespace dovetail::search
