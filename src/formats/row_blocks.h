// Loops over the rows of a matrix, and which elements of a sparse row stay. Private to the quick
// quantiser.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/parallel.h"
#include "formats/format.h"

namespace dovetail::formats {

// Elements that one parallel step handles at least: below, starting a thread costs more.
inline constexpr int64_t kElementsPerStep = 1 << 17;

// Calls body(first, last) over all rows, in parallel where that is worth a thread.
template <typename Body>
void for_row_blocks(int64_t rows, int64_t k, const Body& body) {
  const int64_t per_step = std::max<int64_t>(1, kElementsPerStep / std::max<int64_t>(k, 1));
  const int64_t steps = (rows + per_step - 1) / per_step;
  if (steps <= 1) {
    body(0, rows);
    return;
  }
  parallel_for(steps, [&](int64_t step, int64_t) {
    body(step * per_step, std::min(rows, (step + 1) * per_step));
  });
}

// Which of a sparse row's elements stay: of every `of` the `kept` of largest w^2 * importance, the
// earlier at equality. kept: (k), 1 or 0.
void mark_kept(const WeightFormat& format, int64_t k, const float* importance, const float* w,
               uint8_t* kept);
// Sets the others to +0. w: (rows, k).
void drop_smallest(const WeightFormat& format, int64_t rows, int64_t k, const float* importance,
                   float* w);

}  // namespace dovetail::formats
