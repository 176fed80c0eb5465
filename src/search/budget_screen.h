// Area, power and validity of all chips that differ in their inner axes alone, without asking the
// cost model for each.
//
// With node, DRAM, formats, clock, SRAM, cores and the grid fixed, area is a sum of one term per
// inner axis (three buffers, lanes, decoder), and peak power such a sum plus a wire term that grows
// with the square root of the area. One question per axis value gives the terms, a corner the wire
// term; another corner checks both, and where it disagrees the block is screened chip by chip. A
// sum that lies within rounding of a limit is settled by the cost model, so every decision is the
// one that `CostModel::limits` and `check_chip` would take.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "search/space.h"
#include "search/space_axes.h"
#include "silicon/cost_table.h"

namespace dovetail::search {

enum class Limit : uint8_t {
  kNone,
  kBuffers,
  kClock,
  kDramBandwidth,
  kArea,
  kPeakPower,
  kPowerDensity,
  kPrice
};
inline constexpr int64_t kNumLimits = 8;
// "buffers" (a buffer too small for the grid), "clock" (above what a unit reaches),
// "dram_bandwidth", "area", "peak_power",
// "power_density", "price".
[[nodiscard]] std::string_view limit_name(Limit limit);

// All chips that share the outer axes.
struct Block {
  AxisValues position{};  // inner axes at 0
  int64_t first_index = 0;
  double num_chips = 1;
  bool reaches_clock = true;  // of every chip here
  double area_mm2 = 0;  // of the chip with the largest value on every inner axis; all its dies
  double sqrt_area_mm = 0;
  double peak_power_mw = 0;
  double dram_device_mw = 0;  // part of the peak power that is not the die's; of every chip here
  double dram_gb_per_s = 0;
  struct Term {  // difference to that chip
    double area_mm2 = 0;
    double peak_power_mw = 0;
    bool valid = true;  // false: check_chip refuses every chip with this value
  };
  std::array<std::vector<Term>, kNumInnerAxes> terms;
  double wire_mw_per_mm = 0;  // peak power beyond the terms: times the change of sqrt(area)
  bool additive = true;       // false: ask the cost model for every chip
};

// What the first pass of a sweep keeps of a block.
struct BlockSummary {
  std::array<int64_t, kNumLimits> count{};  // by Limit; [kNone] are the chips inside the budget
  double min_area_mm2 = 0;                  // over the chips inside the budget
};

class BudgetScreen {
 public:
  BudgetScreen(const silicon::CostModel& costs, const Space& space, const Budget& budget);

  [[nodiscard]] int64_t num_blocks() const { return num_blocks_; }
  [[nodiscard]] int64_t block_size() const { return block_size_; }
  // Errors: those of CostModel::limits (unknown node or DRAM kind).
  [[nodiscard]] Result<Block> block(int64_t index) const;
  [[nodiscard]] Result<BlockSummary> summarise(const Block& block) const;
  // Peak power of a chip of the block: `sum` adds the base and the terms.
  [[nodiscard]] static double peak_power(const Block& block, double area, double sum) {
    return sum + block.wire_mw_per_mm * (std::sqrt(area) - block.sqrt_area_mm);
  }
  // Which limit the chip at `position` breaks first, in the order of Limit. `area` and `sum` are
  // the block's sums for it.
  [[nodiscard]] Result<Limit> classify(const Block& block, const AxisValues& position, double area,
                                       double power_sum) const;
  // How far the chip at `position` is from the budget: the largest value / limit, and which limit.
  struct Excess {
    double ratio = 0;
    Limit limit = Limit::kNone;
  };
  [[nodiscard]] Result<Excess> excess(const AxisValues& position) const;
  // The slow, obvious way: asks check_chip and CostModel::limits.
  [[nodiscard]] Result<Limit> classify_exactly(const AxisValues& position) const;
  [[nodiscard]] const AxisValues& lengths() const { return lengths_; }
  [[nodiscard]] const Space& space() const { return space_; }
  [[nodiscard]] const Budget& budget() const { return budget_; }

 private:
  // Finds the wire term and checks the sums. `chip`: of the block, its inner axes are moved.
  Status fit_wires(Block& block, const AxisValues& roomy, chip::Chip& chip) const;
  struct Figures {
    double num_chips = 1;
    bool reaches_clock = true;
    double area_mm2 = 0;
    double peak_power_mw = 0;
    double die_peak_power_mw = 0;  // without the DRAM devices: what W/mm2 is about
    double price_usd = 0;
    double dram_gb_per_s = 0;
  };
  [[nodiscard]] double max_area_mm2(const Figures& chip) const {
    return budget_.max_area_mm2 * chip.num_chips;
  }
  [[nodiscard]] Limit judge(const Figures& chip) const;
  [[nodiscard]] bool near_a_limit(const Figures& chip) const;

  const silicon::CostModel& costs_;
  const Space& space_;
  Budget budget_;
  AxisValues lengths_;
  AxisValues largest_;  // per axis: where its largest value stands
  int64_t num_blocks_ = 0;
  int64_t block_size_ = 0;
  bool price_limited_ = false;
};

// Per axis: the position of the largest value of its list (axes without an order: 0).
[[nodiscard]] AxisValues largest_positions(const Space& space);

}  // namespace dovetail::search
