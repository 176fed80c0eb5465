// What a sweep over chips asks of each of them: "how small can this metric be here?", with bounds.
//
// Two kinds exist: the joint question (any recipe within a loss cap) and the frozen one (the best
// of a given set of recipes). The sweep (sweep.h) treats both alike. All metrics are weighted sums
// over products and hold the chip's fixed part.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "search/chip_allocator.h"
#include "search/enumerate.h"

namespace dovetail::search {

inline constexpr double kImpossible = std::numeric_limits<double>::infinity();

// lower <= the best metric on this chip <= upper; upper is reached by a known recipe. Both
// infinite: no recipe fits the chip.
struct CostRange {
  double lower = 0;  // ns or pJ
  double upper = kImpossible;
};

// Works on one chip at a time; one object per thread. `tables`: one per product.
class ChipSolver {
 public:
  virtual ~ChipSolver() = default;
  // Lower bounds alone, one per question.
  virtual void bound(const std::vector<silicon::CostTable>& tables, std::vector<double>& lower) = 0;
  // Ranges, one per question; a question with wanted[q] == 0 may be left at {0, infinity}.
  virtual void solve(const std::vector<silicon::CostTable>& tables,
                     const std::vector<uint8_t>& wanted, std::vector<CostRange>& ranges) = 0;
};

// A design point closed to a stated gap. `candidate.metric` is infinite if nothing fits.
struct ClosedPoint {
  Candidate candidate;            // without chip, limits and objective
  std::vector<int64_t> variants;  // per product: which recipe of a frozen question; joint: none
};

// Immutable and shared among threads.
class ChipQuestions {
 public:
  virtual ~ChipQuestions() = default;
  [[nodiscard]] virtual const std::vector<Product>& products() const = 0;
  [[nodiscard]] virtual int64_t count() const = 0;
  [[nodiscard]] virtual Metric metric(int64_t question) const = 0;
  [[nodiscard]] virtual std::unique_ptr<ChipSolver> make_solver() const = 0;
  [[nodiscard]] virtual Result<ClosedPoint> close(const std::vector<silicon::CostTable>& tables,
                                                  int64_t question, double max_gap_frac) const = 0;
};

struct JointQuestion {
  Metric metric = Metric::kLatency;
  double max_loss = 0;
};
[[nodiscard]] std::unique_ptr<ChipQuestions> joint_questions(const std::vector<Product>& products,
                                                             std::vector<JointQuestion> questions);

// One recipe per product, as menu indices per site.
using FrozenRecipe = std::vector<std::vector<int32_t>>;
struct FrozenQuestion {
  Metric metric = Metric::kLatency;
  std::vector<FrozenRecipe> variants;  // the best of them counts
  // Every product takes the best of its own recipes, whatever the others take; a product without
  // sites in a variant is not offered it. Else a variant is taken as a whole.
  bool mixed = false;
};
[[nodiscard]] std::unique_ptr<ChipQuestions> frozen_questions(
    const std::vector<Product>& products, std::vector<FrozenQuestion> questions);

// Closes one product on one chip: the better of the allocator's recipe and the solver's.
// `allocation.status` is kInfeasible if nothing fits.
struct ClosedProduct {
  Allocation allocation;  // in terms of make_problem
  std::vector<int32_t> treatments;
  std::vector<float> resident_frac;
};
[[nodiscard]] Result<ClosedProduct> close_product(const silicon::CostTable& table, Metric metric,
                                                  const LossTable& losses,
                                                  const ResidencyLevels& levels, double max_loss,
                                                  double max_gap_frac);

// The part of the metric that no treatment changes.
[[nodiscard]] inline double fixed_cost(const silicon::CostTable& table, Metric metric) {
  return metric == Metric::kLatency ? table.fixed_latency_ns : table.fixed_energy_pj;
}

}  // namespace dovetail::search
