#include "search/whole_space_bound.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <queue>
#include <utility>

#include "base/parallel.h"
#include "search/block_walk.h"

namespace dovetail::search {
namespace {

constexpr double kRoundingFrac = 1e-9;
constexpr double kMilliwattPerWatt = 1e3;

// Axes that T0 reads; the others only make a chip larger.
constexpr std::array kNumberAxes = {Axis::kDramChannels, Axis::kClock,      Axis::kSram,
                                    Axis::kCores,        Axis::kRows,       Axis::kCols,
                                    Axis::kDepth,        Axis::kVectorLanes};
// More chips may be slower or quicker, so they have no order either.
constexpr std::array kNameAxes = {Axis::kNode, Axis::kDramKind, Axis::kFormatSet,
                                  Axis::kTensorParallel};
// More of these costs energy of its own (leakage, longer wires, a higher voltage), so that only a
// box with one value of each has a bound on energy.
constexpr std::array kEnergyAxes = {Axis::kClock, Axis::kSram, Axis::kDramChannels};

// Ranges of ranks: `first`..`last` on every axis, both included, values ascending.
struct Box {
  AxisValues first{};
  AxisValues last{};
  double bound = 0;
  int64_t order = 0;  // among boxes of one bound
};

struct Later {
  bool operator()(const Box& a, const Box& b) const {
    return std::pair(a.bound, a.order) > std::pair(b.bound, b.order);
  }
};

template <typename T>
void rank(const std::vector<T>& list, std::vector<int64_t>& position_of,
          std::vector<double>& values) {
  position_of.resize(list.size());
  std::iota(position_of.begin(), position_of.end(), 0);
  if constexpr (std::is_arithmetic_v<T>) {
    std::ranges::sort(position_of, {}, [&list](int64_t i) { return list[static_cast<size_t>(i)]; });
    for (const int64_t i : position_of) {
      values.push_back(static_cast<double>(list[static_cast<size_t>(i)]));
    }
  }
}

class Bounding {
 public:
  Bounding(const ChipQuestions& questions, const Space& space, const Budget& budget);
  Result<double> bound(const SweepTarget& target, int64_t max_boxes) const;

 private:
  struct Scratch {
    std::unique_ptr<ChipSolver> solver;
    std::vector<silicon::CostTable> tables;
    std::vector<double> lower;
  };
  [[nodiscard]] chip::Chip corner(const AxisValues& ranks) const;
  Status judge(const SweepTarget& target, Scratch& scratch, Box& box) const;
  // The axis to split, kNumAxes if the box has no two chips of different bounds.
  [[nodiscard]] size_t axis_to_split(const Box& box) const;
  [[nodiscard]] bool is_one_value(const Box& box, Axis axis) const {
    return at(box.first, axis) == at(box.last, axis);
  }

  const ChipQuestions& questions_;
  const Space& space_;
  const Budget& budget_;
  std::array<std::vector<int64_t>, kNumAxes> position_of_;  // per axis and rank
  std::array<std::vector<double>, kNumAxes> values_;        // per axis and rank; names: none
};

Bounding::Bounding(const ChipQuestions& questions, const Space& space, const Budget& budget)
    : questions_(questions), space_(space), budget_(budget) {
  const auto add = [this](Axis axis, const auto& list) {
    const auto a = static_cast<size_t>(axis);
    rank(list, position_of_[a], values_[a]);
  };
  add(Axis::kNode, space.nodes);
  add(Axis::kDramKind, space.dram_kinds);
  add(Axis::kDramChannels, space.dram_channels);
  add(Axis::kFormatSet, space.format_sets);
  add(Axis::kClock, space.clock_mhz);
  add(Axis::kSram, space.sram_mib);
  add(Axis::kTensorParallel, space.tensor_parallel);
  add(Axis::kCores, space.cores);
  add(Axis::kRows, space.rows);
  add(Axis::kCols, space.cols);
  add(Axis::kDepth, space.depth);
  add(Axis::kAccumulator, space.accumulator_kib);
  add(Axis::kWeightBuffer, space.weight_buffer_kib);
  add(Axis::kVectorLanes, space.vector_lanes);
  add(Axis::kHadamardLanes, space.hadamard_lanes);
  add(Axis::kDecoder, space.decoder_values_per_cycle);
  add(Axis::kActivationBuffer, space.activation_buffer_kib);
}

chip::Chip Bounding::corner(const AxisValues& ranks) const {
  AxisValues position{};
  for (size_t axis = 0; axis < ranks.size(); ++axis) {
    position[axis] = position_of_[axis][static_cast<size_t>(ranks[axis])];
  }
  return chip_of(space_, position);
}

Status Bounding::judge(const SweepTarget& target, Scratch& scratch, Box& box) const {
  box.bound = 0;
  for (const Axis axis : kNameAxes) {
    if (!is_one_value(box, axis)) return {};
  }
  const silicon::CostModel& costs = *questions_.products().front().costs;
  DOVETAIL_TRY(const silicon::ChipLimits least, costs.limits(corner(box.first)));
  const double price = least.die_price_usd + least.dram_price_usd;
  const auto breaks = [](double value, double limit) {
    return value > limit * (1 + kRoundingFrac);
  };
  const double max_area_mm2 = budget_.max_area_mm2 * static_cast<double>(least.num_chips);
  if (breaks(least.area_mm2, max_area_mm2) || breaks(price, budget_.max_price_usd) ||
      breaks(least.dram_gb_per_s, budget_.max_dram_gb_per_s) ||
      breaks(least.peak_power_mw, budget_.max_peak_power_w * kMilliwattPerWatt)) {
    box.bound = kImpossible;
    return {};
  }
  if (questions_.metric(target.question) == Metric::kEnergy) {
    for (const Axis axis : kEnergyAxes) {
      if (!is_one_value(box, axis)) return {};
    }
  }
  DOVETAIL_TRY_STATUS(fill_bounds(questions_.products(), corner(box.last), scratch.tables));
  scratch.solver->bound(scratch.tables, scratch.lower);
  box.bound = scale_factor(target.scale, least.area_mm2, price) * (1 - kRoundingFrac) *
              scratch.lower[static_cast<size_t>(target.question)];
  return {};
}

size_t Bounding::axis_to_split(const Box& box) const {
  for (const Axis axis : kNameAxes) {
    if (!is_one_value(box, axis)) return static_cast<size_t>(axis);
  }
  size_t widest = kNumAxes;
  double widest_ratio = 0;
  for (const Axis axis : kNumberAxes) {
    if (is_one_value(box, axis)) continue;
    const std::vector<double>& values = values_[static_cast<size_t>(axis)];
    const double low = values[static_cast<size_t>(at(box.first, axis))];
    const double ratio = values[static_cast<size_t>(at(box.last, axis))] / std::max(low, 1e-3);
    if (ratio <= widest_ratio) continue;
    widest_ratio = ratio;
    widest = static_cast<size_t>(axis);
  }
  return widest;
}

Result<double> Bounding::bound(const SweepTarget& target, int64_t max_boxes) const {
  Scratch scratch{.solver = questions_.make_solver(), .tables = {}, .lower = {}};
  Box whole;
  for (size_t axis = 0; axis < position_of_.size(); ++axis) {
    whole.last[axis] = std::ssize(position_of_[axis]) - 1;
  }
  DOVETAIL_TRY_STATUS(judge(target, scratch, whole));
  std::priority_queue<Box, std::vector<Box>, Later> open;
  open.push(whole);
  int64_t num_boxes = 1;
  while (num_boxes < max_boxes && open.top().bound < kImpossible) {
    Box low = open.top();
    const size_t axis = axis_to_split(low);
    if (axis == kNumAxes) break;  // the lowest bound there is
    open.pop();
    Box high = low;
    low.last[axis] = (low.first[axis] + low.last[axis]) / 2;
    high.first[axis] = low.last[axis] + 1;
    for (Box* half : {&low, &high}) {
      const double parent = half->bound;
      DOVETAIL_TRY_STATUS(judge(target, scratch, *half));
      half->bound = std::max(half->bound, parent);
      half->order = num_boxes++;
      open.push(*half);
    }
  }
  return open.top().bound;
}

}  // namespace

Result<std::vector<double>> whole_space_bounds(const ChipQuestions& questions, const Space& space,
                                               const Budget& budget,
                                               const std::vector<SweepTarget>& targets,
                                               int64_t max_boxes) {
  const Bounding bounding(questions, space, budget);
  std::vector<Result<double>> found(targets.size());
  parallel_for(std::ssize(targets), [&](int64_t t, int64_t) {
    found[static_cast<size_t>(t)] = bounding.bound(targets[static_cast<size_t>(t)], max_boxes);
  });
  std::vector<double> bounds;
  for (const Result<double>& one : found) {
    if (!one.has_value()) return std::unexpected(one.error());
    bounds.push_back(*one);
  }
  return bounds;
}

}  // namespace dovetail::search
