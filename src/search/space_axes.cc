#include "search/space_axes.h"

namespace dovetail::search {

AxisValues axis_lengths(const Space& space) {
  AxisValues lengths{};
  const auto set = [&lengths](Axis axis, size_t count) {
    at(lengths, axis) = static_cast<int64_t>(count);
  };
  set(Axis::kNode, space.nodes.size());
  set(Axis::kDramKind, space.dram_kinds.size());
  set(Axis::kDramChannels, space.dram_channels.size());
  set(Axis::kFormatSet, space.format_sets.size());
  set(Axis::kHadamardLanes, space.hadamard_lanes.size());
  set(Axis::kClock, space.clock_mhz.size());
  set(Axis::kSram, space.sram_mib.size());
  set(Axis::kTensorParallel, space.tensor_parallel.size());
  set(Axis::kCores, space.cores.size());
  set(Axis::kRows, space.rows.size());
  set(Axis::kCols, space.cols.size());
  set(Axis::kDepth, space.depth.size());
  set(Axis::kAccumulator, space.accumulator_kib.size());
  set(Axis::kWeightBuffer, space.weight_buffer_kib.size());
  set(Axis::kVectorLanes, space.vector_lanes.size());
  set(Axis::kDecoder, space.decoder_values_per_cycle.size());
  set(Axis::kActivationBuffer, space.activation_buffer_kib.size());
  return lengths;
}

AxisValues split_index(const AxisValues& lengths, int64_t index) {
  AxisValues position{};
  for (size_t axis = lengths.size(); axis-- > 0;) {
    position[axis] = index % lengths[axis];
    index /= lengths[axis];
  }
  return position;
}

int64_t join_index(const AxisValues& lengths, const AxisValues& position) {
  int64_t index = 0;
  for (size_t axis = 0; axis < lengths.size(); ++axis) {
    index = index * lengths[axis] + position[axis];
  }
  return index;
}

chip::Chip chip_of(const Space& space, const AxisValues& position) {
  const auto pick = [&position](const auto& list, Axis axis) -> const auto& {
    return list[static_cast<size_t>(at(position, axis))];
  };
  const FormatSet& set = pick(space.format_sets, Axis::kFormatSet);
  chip::Chip chip;
  chip.node = pick(space.nodes, Axis::kNode);
  chip.clock_mhz = pick(space.clock_mhz, Axis::kClock);
  chip.cores = pick(space.cores, Axis::kCores);
  chip.units.push_back({.format_set = set.name,
                        .rows = pick(space.rows, Axis::kRows),
                        .cols = pick(space.cols, Axis::kCols),
                        .depth = pick(space.depth, Axis::kDepth),
                        .sharing = set.sharing,
                        .pairs = set.pairs});
  chip.hadamard_lanes = pick(space.hadamard_lanes, Axis::kHadamardLanes);
  chip.sram_mib = pick(space.sram_mib, Axis::kSram);
  chip.dram = {.kind = pick(space.dram_kinds, Axis::kDramKind),
               .channels = pick(space.dram_channels, Axis::kDramChannels),
               .capacity_gib = space.dram_capacity_gib};
  const int64_t chips = pick(space.tensor_parallel, Axis::kTensorParallel);
  chip.scale_up = {
      .tensor_parallel = chips, .link_kind = space.link_kind, .links = chips > 1 ? space.links : 0};
  set_inner_axes(space, position, chip);
  return chip;
}

void set_inner_axes(const Space& space, const AxisValues& position, chip::Chip& chip) {
  const auto pick = [&position](const std::vector<int64_t>& list, Axis axis) {
    return list[static_cast<size_t>(at(position, axis))];
  };
  chip.vector_lanes = pick(space.vector_lanes, Axis::kVectorLanes);
  chip.decoder_values_per_cycle = pick(space.decoder_values_per_cycle, Axis::kDecoder);
  chip.accumulator_kib = pick(space.accumulator_kib, Axis::kAccumulator);
  chip.weight_buffer_kib = pick(space.weight_buffer_kib, Axis::kWeightBuffer);
  chip.activation_buffer_kib = pick(space.activation_buffer_kib, Axis::kActivationBuffer);
}

}  // namespace dovetail::search
