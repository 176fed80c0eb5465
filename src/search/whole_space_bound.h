// How good any chip of a space can be at most, without visiting them: a T0 bound by splitting.
//
// A box is a range of every axis. Its T0 bound is that of the box's roomiest chip (highest clock,
// most cores, memory, channels), times the area or price of its smallest; a box whose smallest chip
// breaks the budget holds nothing. The box with the lowest bound is split until so many boxes have
// been looked at; the lowest bound that is then left holds for the whole space. A test holds the
// cost model to what this rests on, and the bound to the exact answer.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "search/chip_questions.h"
#include "search/sweep.h"

namespace dovetail::search {

// Per target: no chip inside the budget has a smaller value; infinite if none can fit.
[[nodiscard]] Result<std::vector<double>> whole_space_bounds(
    const ChipQuestions& questions, const Space& space, const Budget& budget,
    const std::vector<SweepTarget>& targets, int64_t max_boxes);

}  // namespace dovetail::search
