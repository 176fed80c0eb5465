// A settled side as a row of the study's database, so that sides can be settled by several workers.
#pragma once

#include <functional>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "study/scenario.h"

namespace dovetail::study {

// The chip of an index in the space, or the frozen chip for -1.
using ChipOf = std::function<chip::Chip(int64_t index)>;

// Without the certificate, and of the candidate what the study reads: not limits and allocations.
[[nodiscard]] Json side_to_json(const SideAnswer& side);
// Errors: kInvalidArgument (a row that this program did not write).
[[nodiscard]] Result<SideAnswer> side_from_json(const Json& json, const ChipOf& chip_of);

// The same for points that were not settled.
[[nodiscard]] Json candidates_to_json(const std::vector<search::Candidate>& candidates);
[[nodiscard]] Result<std::vector<search::Candidate>> candidates_from_json(const Json& json,
                                                                          const ChipOf& chip_of);

}  // namespace dovetail::study
