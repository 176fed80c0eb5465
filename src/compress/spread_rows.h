// A subset of positions, evenly spaced, for losses that are measured rather than derived.
#pragma once

#include <cstdint>
#include <vector>

#include "model/model.h"

namespace dovetail::compress {

// The ends of `count` equal stretches of `rows` rows, so that the last row is among them: later
// positions see more context. All rows if there are no more than `count`. rows, count >= 1.
[[nodiscard]] std::vector<int64_t> spread_rows(int64_t rows, int64_t count);

// (n, h) of `from` (rows, h), in the order of `rows`.
[[nodiscard]] model::Matrix pick_rows(const model::Matrix& from, const std::vector<int64_t>& rows);

}  // namespace dovetail::compress
