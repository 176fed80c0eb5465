// The axes of a space in the order of the chip index, outermost first.
//
// The axes that the T0 bound reads come first, so that chips which share a bound are neighbours.
#pragma once

#include <array>
#include <cstdint>

#include "search/space.h"

namespace dovetail::search {

enum class Axis : uint8_t {
  kNode,
  kDramKind,
  kDramChannels,
  kFormatSet,
  kHadamardLanes,
  kClock,
  kSram,
  kTensorParallel,
  kCores,
  kRows,
  kCols,
  kDepth,
  kAccumulator,
  kWeightBuffer,
  kVectorLanes,
  kDecoder,
  kActivationBuffer,
};
inline constexpr int64_t kNumAxes = static_cast<int64_t>(Axis::kActivationBuffer) + 1;

using AxisValues = std::array<int64_t, kNumAxes>;  // per axis: a length, or a position in its list

[[nodiscard]] AxisValues axis_lengths(const Space& space);
// Chip index to position on every axis (mixed radix, the last axis varies first), and back.
[[nodiscard]] AxisValues split_index(const AxisValues& lengths, int64_t index);
[[nodiscard]] int64_t join_index(const AxisValues& lengths, const AxisValues& position);
// The chip at these positions, without a name.
[[nodiscard]] chip::Chip chip_of(const Space& space, const AxisValues& position);
// The last five axes, which a sweep varies inside a block of chips: buffers, lanes and decoder.
inline constexpr int64_t kNumInnerAxes = 5;
inline constexpr int64_t kFirstInnerAxis = kNumAxes - kNumInnerAxes;
// From here on, more of an axis never makes a chip slower: lanes, decoder, activation buffer. A
// larger weight buffer or accumulator can (a longer prologue, another blocking).
inline constexpr int64_t kFirstMonotoneAxis = static_cast<int64_t>(Axis::kVectorLanes);
// Moves a chip of chip_of along those axes alone, without touching its texts and lists.
void set_inner_axes(const Space& space, const AxisValues& position, chip::Chip& chip);

[[nodiscard]] inline int64_t& at(AxisValues& values, Axis axis) {
  return values[static_cast<size_t>(axis)];
}
[[nodiscard]] inline int64_t at(const AxisValues& values, Axis axis) {
  return values[static_cast<size_t>(axis)];
}

}  // namespace dovetail::search
