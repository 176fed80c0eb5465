// The allocation inside enumeration: one chip's cost table in, a recipe with its residency per loss
// cap out, in tens of microseconds, with a valid lower bound.
//
// Costs here leave out CostTable::fixed_*: they are what the choice of treatments and residency
// decides. Callers add the fixed part of the metric themselves.
//
// Method: docs/design/0001-allocation.md. `make_problem` states the very same options for
// `solve_allocation`, which closes the gap that is left here.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "model/model.h"
#include "recipe/site.h"
#include "search/allocation.h"
#include "search/enumerate.h"
#include "search/loss_table.h"
#include "silicon/cost_table.h"

namespace dovetail::search {

// Which shares of a site's bytes can stay in SRAM, per site kind: ascending, the first 0, the last
// 1. The unit is one linear of one layer (q, k, v, o, gate, up, down), the KV of a layer, or an
// eighth of the head. A site at share f costs streamed + f * (resident - streamed) and takes
// f * bytes of SRAM and (1 - f) * bytes of DRAM.
struct ResidencyLevels {
  std::array<std::vector<double>, recipe::kNumSiteKinds> shares;
};
inline constexpr int64_t kHeadSlices = 8;
[[nodiscard]] ResidencyLevels residency_levels(const model::ModelShape& shape);

// One recipe on one chip.
struct ChipAllocation {
  bool feasible = false;  // false: proven impossible, bound is then infinity
  double cost = 0;        // ns or pJ, without the table's fixed part
  double bound = 0;       // no choice within the limits costs less; same unit
  double loss = 0;        // nats per token, <= cap
  double sram_bytes = 0;
  double dram_bytes = 0;             // without the table's fixed part
  std::vector<int32_t> treatments;   // menu index per site
  std::vector<float> resident_frac;  // per site, one of its ResidencyLevels
  double loss_price = 0;             // cost saved per unit of the cap
  double sram_price = 0;             // cost saved per byte of SRAM
};

// Not thread-safe: one object per thread. Answers depend on the arguments of the call alone, not
// on earlier calls, so that results do not depend on how chips are shared among threads.
class ChipAllocator {
 public:
  // `losses` and `levels` are copied. `caps` in nats per token.
  ChipAllocator(const LossTable& losses, const ResidencyLevels& levels, std::vector<double> caps);
  ChipAllocator(ChipAllocator&&) noexcept;
  ChipAllocator& operator=(ChipAllocator&&) noexcept;
  ~ChipAllocator();

  // Fills one result per cap. Every array of the table must have its kind's menu size.
  void allocate(const silicon::CostTable& table, Metric metric,
                std::vector<ChipAllocation>& results);

  // Only the lower bound, for one cap: with a T0 table no chip that shares the table's key can cost
  // less. Infinity: no choice satisfies the limits.
  [[nodiscard]] double bound(const silicon::CostTable& table, Metric metric, double cap);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The same problem with its options spelled out. Options of a site: treatments ascending, shares
// ascending inside; what the chip cannot execute, the table forbids or SRAM cannot hold is left
// out.
struct ChipProblem {
  AllocationProblem problem;
  struct Option {
    int32_t treatment = 0;
    float resident_frac = 0;
  };
  std::vector<Option> options;  // as problem.cost
};
// Errors: kInvalidArgument if a site is left without any option (names the site).
[[nodiscard]] Result<ChipProblem> make_problem(const silicon::CostTable& table, Metric metric,
                                               const LossTable& losses,
                                               const ResidencyLevels& levels, double cap);

// The allocator's answer in the problem's terms, so that `verify` can judge it.
[[nodiscard]] Allocation to_allocation(const ChipProblem& problem, const ChipAllocation& result);
// The solver's answer in the allocator's terms.
[[nodiscard]] ChipAllocation to_chip_allocation(const ChipProblem& problem,
                                                const Allocation& allocation);

}  // namespace dovetail::search
