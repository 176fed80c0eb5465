// A sub-grid of a space: some values of every axis, the first and the last of each list among them.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "search/space.h"
#include "search/space_axes.h"

namespace dovetail::search {

struct CoarseGrid {
  Space space;
  std::array<std::vector<int64_t>, kNumAxes> positions;  // per axis: where its values stand in the
                                                         // lists of the whole space
};

// Lists of numbers are thinned, the longest first, until at most `max_chips` are left or every one
// has a single value; nodes, DRAM kinds, format sets and chips all stay.
[[nodiscard]] CoarseGrid coarse_grid(const Space& space, int64_t max_chips);

// The index in the whole space of a chip of the grid.
[[nodiscard]] int64_t whole_index(const CoarseGrid& grid, const Space& whole, int64_t index);

}  // namespace dovetail::search
