#include "search/coarse_grid.h"

#include <algorithm>

namespace dovetail::search {
namespace {

// Lists without an order in what a chip costs.
bool is_kept_whole(size_t axis) {
  return axis == static_cast<size_t>(Axis::kNode) || axis == static_cast<size_t>(Axis::kDramKind) ||
         axis == static_cast<size_t>(Axis::kFormatSet) ||
         axis == static_cast<size_t>(Axis::kTensorParallel);
}

// `count` positions of 0..length-1, evenly spread, both ends among them if count > 1.
std::vector<int64_t> spread(int64_t length, int64_t count) {
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < count; ++i) {
    positions.push_back(count == 1 ? length / 2 : i * (length - 1) / (count - 1));
  }
  return positions;
}

template <typename T>
void keep(const std::vector<int64_t>& positions, std::vector<T>& list) {
  std::vector<T> kept;
  for (const int64_t position : positions) kept.push_back(list[static_cast<size_t>(position)]);
  list = std::move(kept);
}

}  // namespace

CoarseGrid coarse_grid(const Space& space, int64_t max_chips) {
  const AxisValues lengths = axis_lengths(space);
  AxisValues counts = lengths;
  const auto size = [&counts] {
    int64_t product = 1;
    for (const int64_t count : counts) product *= count;
    return product;
  };
  while (size() > max_chips) {
    size_t longest = kNumAxes;
    for (size_t axis = 0; axis < counts.size(); ++axis) {
      if (is_kept_whole(axis) || counts[axis] == 1) continue;
      if (longest == kNumAxes || counts[axis] > counts[longest]) longest = axis;
    }
    if (longest == kNumAxes) break;
    --counts[longest];
  }
  CoarseGrid grid{.space = space, .positions = {}};
  for (size_t axis = 0; axis < counts.size(); ++axis) {
    grid.positions[axis] = spread(lengths[axis], counts[axis]);
  }
  const auto thin = [&grid](Axis axis, auto& list) {
    keep(grid.positions[static_cast<size_t>(axis)], list);
  };
  thin(Axis::kDramChannels, grid.space.dram_channels);
  thin(Axis::kClock, grid.space.clock_mhz);
  thin(Axis::kSram, grid.space.sram_mib);
  thin(Axis::kCores, grid.space.cores);
  thin(Axis::kRows, grid.space.rows);
  thin(Axis::kCols, grid.space.cols);
  thin(Axis::kDepth, grid.space.depth);
  thin(Axis::kAccumulator, grid.space.accumulator_kib);
  thin(Axis::kWeightBuffer, grid.space.weight_buffer_kib);
  thin(Axis::kVectorLanes, grid.space.vector_lanes);
  thin(Axis::kHadamardLanes, grid.space.hadamard_lanes);
  thin(Axis::kDecoder, grid.space.decoder_values_per_cycle);
  thin(Axis::kActivationBuffer, grid.space.activation_buffer_kib);
  return grid;
}

int64_t whole_index(const CoarseGrid& grid, const Space& whole, int64_t index) {
  AxisValues position = split_index(axis_lengths(grid.space), index);
  for (size_t axis = 0; axis < position.size(); ++axis) {
    position[axis] = grid.positions[axis][static_cast<size_t>(position[axis])];
  }
  return join_index(axis_lengths(whole), position);
}

}  // namespace dovetail::search
